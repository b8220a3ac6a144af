"""DomainError to gRPC status and back."""

from collections.abc import Iterable
from typing import cast

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from services.runtime.errors import DomainError, Kind, UpstreamError

DOMAIN = "headworks"
DETAILS_KEY = "grpc-status-details-bin"
CODES = {kind: next(code for code in grpc.StatusCode if code.value[0] == kind) for kind in Kind}
_KINDS = {int(kind) for kind in Kind}


def number(code: grpc.StatusCode | int | None) -> int:
    """The code as a number, whichever form the library holds it in; INTERNAL for none."""
    if isinstance(code, grpc.StatusCode):
        return int(code.value[0])
    return int(Kind.INTERNAL) if code is None else code


def details(error: DomainError) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata with the error's google.rpc.Status."""
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.details))
    status = status_pb2.Status(code=int(error.kind), message=error.message, details=[info])
    return ((DETAILS_KEY, status.SerializeToString()),)


def from_rpc_error(error: grpc.aio.AioRpcError) -> DomainError:
    """What another service answered, as an error of this one: the same kind and reason.

    A message is passed on only where that service meant it for a caller, that is, where it came with an ErrorInfo.
    """
    code = error.code().value[0]
    kind = Kind(code) if code in _KINDS else Kind.INTERNAL
    info = error_info(error)
    if info is None:
        name = error.code().name
        return UpstreamError(kind, name, "a service behind this one is unavailable" if kind == Kind.UNAVAILABLE
                             else f"a service behind this one answered {name}")  # fmt: skip
    return UpstreamError(kind, info.reason, error.details() or "", **dict(info.metadata))


def error_info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo | None:
    """The ErrorInfo of a failed call, if it came with one."""
    trailing = cast(Iterable[tuple[str, str | bytes]], error.trailing_metadata() or ())
    for key, value in trailing:
        if key == DETAILS_KEY and isinstance(value, bytes):
            status = status_pb2.Status.FromString(value)
            for detail in status.details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return info
    return None
