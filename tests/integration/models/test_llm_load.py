"""The `llm` model under load, and left by its callers: what is cancelled, refused, put behind; and who survives it."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Any

import pytest

from services.llm.triton.client import LlmClient
from services.llm.triton.protocol import Chunk
from services.runtime.errors import ErrorKind, UpstreamError
from tests.fakes.llm_protocol import generate
from tests.integration.models.conftest import Server
from tests.integration.models.metrics import Metrics
from tests.integration.models.test_llm import answer, ask, idle, refusal

FREE_SECONDS = 0.2
# Reading the metrics over HTTP takes its own time on a busy machine.
READ_SECONDS = 10.0
# More than is generated before a test on a busy machine goes on.
ENDLESS = 32000
RUNNING = 4
QUEUE = 4
KILLS = 6


@pytest.fixture
def metrics(llm_server: Server) -> Metrics:
    return Metrics(llm_server.llm_metrics)


async def long(llm: LlmClient, stack: AsyncExitStack, **more: Any) -> AsyncGenerator[list[Chunk], None]:
    """A generation that would take long, and ends with the stack."""
    return await stack.enter_async_context(
        aclosing(llm.generate(generate(ask(max_tokens=ENDLESS, **more)), timeout=100))
    )


async def fill(llm: LlmClient, stack: AsyncExitStack, count: int) -> None:
    """As many sequences as run at once."""
    for _ in range(count):
        await anext(await long(llm, stack))


async def waiting(llm: LlmClient, stack: AsyncExitStack, **more: Any) -> "asyncio.Task[list[Chunk]]":
    """A generation that is in the queue; the task ends with its first chunks."""
    generation = await long(llm, stack, **more)
    task = asyncio.create_task(anext(generation))
    stack.push_async_callback(asyncio.wait, [task])
    stack.callback(task.cancel)
    return task


def ended(triton: Metrics) -> float:
    """Requests to the model that have ended, as Triton counts them."""
    return sum(triton.value(f"nv_inference_request_{end}", model="llm") for end in ("success", "failure"))


async def test_a_cancelled_sequence_is_gone_at_once(llm: LlmClient, llm_server: Server, metrics: Metrics) -> None:
    triton = Metrics(llm_server.ports.metrics)
    before = metrics.value("headworks_llm_cancelled_total", cause="client")
    ended_before = ended(triton)
    async with AsyncExitStack() as stack:
        await fill(llm, stack, RUNNING)
        await metrics.until(lambda now: now.value("vllm:num_requests_running") == RUNNING, READ_SECONDS)
        assert metrics.value("vllm:kv_cache_usage_perc") > 0
    # To Triton, each of them has ended, as has the request that cancelled it.
    seconds = await metrics.until(lambda now: idle(now) and ended(triton) - ended_before >= 2 * RUNNING, READ_SECONDS)
    assert seconds < FREE_SECONDS
    assert metrics.value("headworks_llm_cancelled_total", cause="client") == before + RUNNING


async def test_two_hundred_cancellations(llm: LlmClient, llm_server: Server, metrics: Metrics) -> None:
    triton = Metrics(llm_server.ports.metrics)
    before = ended(triton)
    for _ in range(200):
        async with aclosing(llm.generate(generate(ask(max_tokens=8000)), timeout=30)) as generation:
            await anext(generation)
    await metrics.until(idle, READ_SECONDS)
    await triton.until(lambda now: ended(now) - before >= 400, READ_SECONDS)
    assert triton.value("nv_inference_pending_request_count", model="llm") == 0
    assert llm_server.process.poll() is None
    text, _ = await answer(llm, ask())
    assert text


async def test_clients_that_are_killed(llm: LlmClient, llm_server: Server, metrics: Metrics) -> None:
    for _ in range(KILLS):
        await asyncio.to_thread(open_and_die, llm_server)
        await metrics.until(idle, 3)
    assert llm_server.process.poll() is None
    assert metrics.value("headworks_llm_cancelled_total", cause="gone") >= KILLS
    text, _ = await answer(llm, ask())
    assert text


def open_and_die(server: Server) -> None:
    """A process with open generations, killed."""
    command = [sys.executable, "-m", "tests.integration.models.leaving_client", server.target]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"open\n"
        finally:
            process.send_signal(signal.SIGKILL)


async def test_a_full_queue_refuses_batch_first(llm: LlmClient, metrics: Metrics) -> None:
    async with AsyncExitStack() as stack:
        await fill(llm, stack, RUNNING)
        for queued in range(1, QUEUE + 1):
            await waiting(llm, stack)
            await metrics.until(lambda now, n=queued: now.value("headworks_llm_queued") == n, READ_SECONDS)  # type: ignore[misc]
            if queued >= QUEUE // 2:
                assert (await refusal(llm, ask(priority="batch"))).reason == "LLM_OVERLOADED"
        error = await refusal(llm, ask())
        assert isinstance(error, UpstreamError)
        assert (error.kind, error.reason) == (ErrorKind.RESOURCE_EXHAUSTED, "LLM_OVERLOADED")
        assert error.retry_after is not None
        assert 1 <= error.retry_after <= 60
    assert metrics.value("headworks_llm_shed_total", priority="interactive") >= 1
    assert metrics.value("headworks_llm_shed_total", priority="batch") >= QUEUE // 2
    await metrics.until(idle, READ_SECONDS)
    assert metrics.value("headworks_llm_queued") == 0
    text, _ = await answer(llm, ask())
    assert text


async def test_interactive_requests_overtake_batch(llm: LlmClient, metrics: Metrics) -> None:
    async with AsyncExitStack() as stack:
        first = await long(llm, stack)
        await anext(first)
        await fill(llm, stack, RUNNING - 1)
        batch = await waiting(llm, stack, priority="batch")
        await metrics.until(lambda now: now.value("vllm:num_requests_waiting") == 1, READ_SECONDS)
        interactive = await waiting(llm, stack)
        await metrics.until(lambda now: now.value("vllm:num_requests_waiting") == 2, READ_SECONDS)
        await first.aclose()
        assert await asyncio.wait_for(interactive, 5)
        assert not batch.done()


async def test_what_is_measured(llm: LlmClient, metrics: Metrics) -> None:
    await answer(llm, ask())
    text = metrics.text()
    for name in (
        "headworks_llm_requests_total", "headworks_llm_queued", "headworks_llm_under_way", "vllm:num_requests_running",
        "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc", "vllm:prefix_cache_queries_total",
        "vllm:prefix_cache_hits_total", "vllm:time_to_first_token_seconds_bucket",
        "vllm:inter_token_latency_seconds_bucket", "vllm:prompt_tokens_total", "vllm:generation_tokens_total",
    ):  # fmt: skip
        assert name in text
