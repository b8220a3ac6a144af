"""Every exception becomes a DomainError, here and nowhere else; the protocol's own end makes a status of it."""

import asyncio
import logging
import uuid

import grpc

from services.runtime import statuses
from services.runtime.call import Call
from services.runtime.errors import DomainError, Kind
from services.runtime.interceptors.chain import Serve, T

log = logging.getLogger(__name__)


class Errors:
    """A DomainError keeps its kind and message; another service's error is passed on; anything else is INTERNAL with
    an id that the log has too, and nothing of its text. Statuses set by hand and cancellation pass untouched."""

    async def around(self, call: Call, serve: Serve[T]) -> T:
        try:
            return await serve()
        except grpc.aio.AbortError:
            raise
        except asyncio.CancelledError:
            call.code = int(Kind.DEADLINE_EXCEEDED if call.remaining <= 0 else Kind.CANCELLED)
            raise
        except Exception as error:
            failed = _domain_error(error, call)
            call.code, call.reason = int(failed.kind), failed.reason
            if failed is error:
                raise
            raise failed from error


def _domain_error(error: Exception, call: Call) -> DomainError:
    if isinstance(error, DomainError):
        return error
    if isinstance(error, grpc.aio.AioRpcError):
        return statuses.from_rpc_error(error)
    error_id = uuid.uuid4().hex[:12]
    log.error("unexpected error", exc_info=error, extra={"error_id": error_id, "method": call.method})
    return DomainError(f"internal error {error_id}", error_id=error_id)
