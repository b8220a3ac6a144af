"""Waiting for a run that may itself be waiting for a person."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import grpc

from gateway.calls.call import time_left
from gateway.calls.run_answer import Events
from gateway.faces.http.openai.seen import Seen
from services.runtime.call import Call
from services.runtime.errors import DomainError, ErrorKind


class ApprovalPending(DomainError):
    """The deadline passed while the run waited for a person."""

    kind = ErrorKind.DEADLINE_EXCEEDED
    reason = "APPROVAL_PENDING"

    def __init__(self, run_id: str, approval_id: str) -> None:
        message = f"the run {run_id} is still waiting for a person to decide the approval {approval_id}"
        super().__init__(message, run_id=run_id, approval_id=approval_id)


async def patiently(events: AsyncGenerator[Events, None], seen: Seen, call: Call) -> AsyncGenerator[Events, None]:
    """The events as they come. Raises ApprovalPending where the deadline comes while `seen` knows of an approval that
    the run waits for, and what `events` raises."""
    waiting: asyncio.Task[Events | None] | None = None
    try:
        while True:
            if not seen.approvals:
                yield await anext(events)
                continue
            waiting = asyncio.create_task(_next(events))
            await asyncio.wait({waiting}, timeout=max(0.0, time_left(call)))
            if not waiting.done():
                raise _pending(seen)
            batch, waiting = waiting.result(), None
            if batch is None:
                return
            yield batch
    except StopAsyncIteration:
        return
    except grpc.aio.AioRpcError as error:
        if seen.approvals and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise _pending(seen) from error
        raise
    finally:
        await _end(waiting)


async def _end(waiting: "asyncio.Task[Events | None] | None") -> None:
    if waiting is not None and not waiting.done():
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting


async def _next(events: AsyncGenerator[Events, None]) -> Events | None:
    return await anext(events, None)


def _pending(seen: Seen) -> ApprovalPending:
    return ApprovalPending(seen.run_id, next(iter(seen.approvals)))
