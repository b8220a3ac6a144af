"""The messages of Triton's protocol; the only module that imports `tritonclient`.

Its generated stubs are used rather than its client, so that our interceptors, deadlines and `xds:///` targets apply,
and because building the messages by hand costs a tenth of the time.
"""

import struct
from collections.abc import Iterable

from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc as pb_grpc

__all__ = ["pb", "pb_grpc", "split", "strings"]


def strings(items: Iterable[bytes]) -> bytes:
    """Triton's form of a string tensor: each item behind its length."""
    return b"".join(struct.pack("<I", len(item)) + item for item in items)


def split(data: bytes) -> list[bytes]:
    """The items of a string tensor."""
    items: list[bytes] = []
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        items.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return items
