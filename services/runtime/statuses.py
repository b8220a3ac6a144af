"""DomainError to gRPC status and back."""

from collections.abc import Iterable
from contextlib import suppress
from typing import TypeVar, cast

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from services.runtime.errors import DomainError, ErrorKind, UpstreamError

D = TypeVar("D", bound=Message)
DOMAIN = "headworks"
DETAILS_KEY = "grpc-status-details-bin"
# In bytes. Metadata as a whole is limited to 8 KiB by default in every gRPC implementation, and a message goes out
# three times: percent-encoded, in the details, and in the gateway's JSON.
MESSAGE_LIMIT = 700
VALUE_LIMIT = 200
CODES = {kind: next(code for code in grpc.StatusCode if code.value[0] == kind) for kind in ErrorKind}
_KINDS = {int(kind) for kind in ErrorKind}


def number(code: grpc.StatusCode | int | None) -> int:
    """The code as a number, whichever form the library holds it in; INTERNAL for none."""
    if isinstance(code, grpc.StatusCode):
        return int(code.value[0])
    return int(ErrorKind.INTERNAL) if code is None else code


def cut(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """The text, or as much of its beginning as fits into `limit` bytes of UTF-8."""
    return text.encode(errors="replace")[:limit].decode(errors="ignore")


def details(error: DomainError) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata with the error's google.rpc.Status."""
    info = any_pb2.Any()
    metadata = {key: cut(value, VALUE_LIMIT) for key, value in error.details.items()}
    info.Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata))
    status = status_pb2.Status(code=int(error.kind), message=cut(error.message), details=[info])
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(max(error.retry_after, 0) * 1e9))
        status.details.add().Pack(retry)
    return ((DETAILS_KEY, status.SerializeToString()),)


def from_rpc_error(error: grpc.aio.AioRpcError) -> DomainError:
    """What another service answered, as an error of this one: the same kind and reason.

    A message is passed on only where that service meant it for a caller, that is, where it came with an ErrorInfo.
    """
    code = error.code().value[0]
    kind = ErrorKind(code) if code in _KINDS else ErrorKind.INTERNAL
    status = _status(error)
    info = _detail(status, error_details_pb2.ErrorInfo())
    if info is None:
        name, who = error.code().name, getattr(error, "service", "")
        where = f"the service {who}" if who else "a service behind this one"
        unavailable = kind == ErrorKind.UNAVAILABLE
        return UpstreamError(kind, name, f"{where} is unavailable" if unavailable else f"{where} answered {name}")
    retry = _detail(status, error_details_pb2.RetryInfo())
    delay = None if retry is None else retry.retry_delay.ToNanoseconds() / 1e9
    return UpstreamError(kind, info.reason, error.details() or "", **dict(info.metadata)).retry_in(delay)


def error_info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo | None:
    """The ErrorInfo of a failed call, if it came with one."""
    return _detail(_status(error), error_details_pb2.ErrorInfo())


def _status(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """The google.rpc.Status of a failed call; an empty one where it came without, or with a garbled one."""
    trailing = cast(Iterable[tuple[str, str | bytes]], error.trailing_metadata() or ())
    for key, value in trailing:
        if key == DETAILS_KEY and isinstance(value, bytes):
            with suppress(DecodeError):
                return status_pb2.Status.FromString(value)
    return status_pb2.Status()


def _detail(status: status_pb2.Status, form: D) -> D | None:
    """The status's detail of that form, if it has one."""
    return next((form for detail in status.details if detail.Unpack(form)), None)
