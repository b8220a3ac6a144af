"""Exceptions become gRPC statuses, here and nowhere else."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

import grpc

from services.runtime import statuses
from services.runtime.call import Call
from services.runtime.errors import DomainError, Kind
from services.runtime.interceptors.pipeline import Context

log = logging.getLogger(__name__)


class Errors:
    """A DomainError keeps its kind and message; another service's error is passed on; anything else is INTERNAL with
    an id that the log has too, and nothing of its text. Statuses set by hand and cancellation pass untouched."""

    @asynccontextmanager
    async def around(self, call: Call, context: Context) -> AsyncIterator[None]:
        try:
            yield
        except grpc.aio.AbortError:
            call.code = statuses.number(context.code())
            raise
        except asyncio.CancelledError:
            call.code = int(Kind.DEADLINE_EXCEEDED if call.remaining <= 0 else Kind.CANCELLED)
            raise
        except DomainError as error:
            await self.abort(call, context, error)
        except grpc.aio.AioRpcError as error:
            await self.abort(call, context, statuses.from_rpc_error(error))
        except Exception as error:
            error_id = uuid.uuid4().hex[:12]
            log.exception("unexpected error", extra={"error_id": error_id, "method": call.method})
            unexpected = DomainError(f"internal error {error_id}", error_id=error_id)
            await self.abort(call, context, unexpected, error)

    def trailers(self, call: Call, error: DomainError) -> tuple[tuple[str, str | bytes], ...]:
        """The trailing metadata that tells the caller of `error`."""
        return statuses.details(error)

    async def abort(self, call: Call, context: Context, error: DomainError, cause: Exception | None = None) -> NoReturn:
        """End the call with the error's status and its trailers."""
        call.code, call.reason = int(error.kind), error.reason
        try:
            await context.abort(statuses.CODES[error.kind], statuses.cut(error.message), self.trailers(call, error))
        except grpc.aio.AbortError as aborted:
            raise aborted from (cause or error)
