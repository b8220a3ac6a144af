"""Calls that are answered batch by batch, and as a whole: those of the embedder and of the reranker."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

from gateway.calls.call import BUDGET, ModelCall
from gateway.calls.pipeline import CallPipeline
from gateway.calls.request import ModelRequest
from services.llm.price import FREE
from services.runtime.call import Call

T = TypeVar("T")

Batches = Callable[[Sequence[str]], AsyncGenerator[tuple[T, int], None]]
"""Of texts, as they may be read: each batch's result, and how many tokens it took."""


async def in_batches(
    pipeline: CallPipeline, call: Call, asked: ModelRequest, batches: Batches[T]
) -> tuple[list[T], int]:
    """All batches' results, and how many tokens they took; settled. Raises a DomainError."""
    admitted = await pipeline.admit(call, asked, FREE)
    try:
        done: list[T] = []
        tokens = 0
        async with aclosing(batches(admitted.texts)) as results:
            async for result, used in results:
                done.append(result)
                tokens += used
                admitted.begin()
                admitted.meter.report(tokens, 0, 0)
                await _cover(admitted)
        admitted.finish("stop")
        await admitted.settle()
    except Exception:
        admitted.close("error")
        raise
    finally:
        admitted.close("cancelled")
    return done, tokens


async def _cover(call: ModelCall) -> None:
    """Reserve for what was used so far. Raises BudgetExceeded."""
    if not (call.covered() or await call.extend()):
        call.finish(BUDGET)
        raise call.exceeded
