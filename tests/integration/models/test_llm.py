"""The `llm` model: a real vLLM in a real Triton, through the client that the orchestrator uses."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import grpc
import pytest

from services.llm.triton.client import LlmClient
from services.runtime.errors import DeadlineExceeded, DomainError, ErrorKind
from tests.fakes.llm_protocol import generate, plain, prompt
from tests.integration.models.conftest import Server
from tests.integration.models.metrics import Metrics

SCHEMA = {
    "type": "object", "properties": {"colour": {"enum": ["red", "blue"]}, "many": {"type": "boolean"}},
    "required": ["colour", "many"], "additionalProperties": False,
}  # fmt: skip
TOOLS = [
    {"type": "function", "function": {"name": name, "description": "Paints.", "parameters": SCHEMA}}
    for name in ("paint", "spray")
]


def ask(text: str = "Hello", *, max_tokens: int = 8, **more: Any) -> dict[str, Any]:
    sampling = {"max_tokens": max_tokens, "temperature": 0, "ignore_eos": True, **more.pop("sampling", {})}
    return {"messages": [{"role": "user", "content": text}], "sampling": sampling, **more}


async def answer(llm: LlmClient, payload: Mapping[str, Any], timeout: float = 30) -> tuple[str, list[dict[str, Any]]]:
    """The text of an answer, and its other chunks."""
    chunks = [plain(chunk) async for several in llm.generate(generate(payload), timeout=timeout) for chunk in several]
    return "".join(chunk.get("text", "") for chunk in chunks), [chunk for chunk in chunks if "text" not in chunk]


async def refusal(llm: LlmClient, payload: Mapping[str, Any]) -> DomainError:
    with pytest.raises(DomainError) as caught:
        await answer(llm, payload)
    return caught.value


async def test_an_answer_comes_in_chunks(llm: LlmClient) -> None:
    several = [chunks async for chunks in llm.generate(generate(ask(max_tokens=40)), timeout=30)]
    chunks = [plain(chunk) for found in several for chunk in found]
    *texts, end = chunks
    assert len(texts) > 2
    assert sum(chunk["tokens"] for chunk in texts) == 40
    assert end["finish"] == "length"
    assert end["usage"]["completion"] == 40
    assert end["usage"]["prompt"] == await llm.count(prompt(ask()), timeout=10) > 5
    assert 0 <= end["queue_seconds"] <= end["ttft_seconds"] < 5
    assert end["confidence"] is None


async def test_a_prompt_that_was_counted_is_not_rendered_again(llm: LlmClient, llm_server: Server) -> None:
    metrics = Metrics(llm_server.llm_metrics)
    before = metrics.value("headworks_llm_prompts_reused_total")
    alone, _ = await answer(llm, ask("Count me"))
    assert metrics.value("headworks_llm_prompts_reused_total") == before
    tokens = await llm.count(prompt(ask("Count me")), timeout=10)
    counted, (end,) = await answer(llm, ask("Count me"))
    assert (counted, end["usage"]["prompt"]) == (alone, tokens)
    assert metrics.value("headworks_llm_prompts_reused_total") == before + 1
    await answer(llm, ask("Count me"))
    assert metrics.value("headworks_llm_prompts_reused_total") == before + 1


async def test_the_same_question_has_the_same_answer(llm: LlmClient) -> None:
    first, again = [(await answer(llm, ask(max_tokens=30)))[0] for _ in range(2)]
    assert first == again
    seeded = ask(max_tokens=30, sampling={"temperature": 1, "seed": 5})
    assert (await answer(llm, seeded))[0] == (await answer(llm, seeded))[0] != first


async def test_confidence_only_when_asked_for(llm: LlmClient) -> None:
    _, (end,) = await answer(llm, ask(confidence=True))
    assert 0 < end["confidence"] < 1


async def test_a_context_that_is_too_long_names_both_lengths(llm: LlmClient) -> None:
    error = await refusal(llm, ask("x" * 33000, max_tokens=100))
    assert (error.kind, error.reason) == (ErrorKind.INVALID_ARGUMENT, "CONTEXT_TOO_LONG")
    assert error.details["context_length"] == "32768"
    assert error.details["max_tokens"] == "100"
    assert int(error.details["prompt_tokens"]) == await llm.count(prompt(ask("x" * 33000)), timeout=10)
    assert error.details["prompt_tokens"] in error.message
    assert (await refusal(llm, ask(max_tokens=32768))).reason == "CONTEXT_TOO_LONG"


async def test_json_by_schema_is_enforced(llm: LlmClient) -> None:
    for seed in range(3):
        wanted = {"type": "json_schema", "json_schema": {"name": "paint", "schema": SCHEMA}}
        payload = ask(
            max_tokens=400, response_format=wanted, sampling={"temperature": 1, "seed": seed, "ignore_eos": False}
        )
        text, (end,) = await answer(llm, payload)
        assert end["finish"] == "stop"
        found = json.loads(text)
        assert found.keys() == {"colour", "many"}
        assert found["colour"] in ("red", "blue")


@pytest.mark.parametrize("schema", [{"type": "objekt"}, {"type": "string", "pattern": "("}])
async def test_a_schema_that_cannot_be_enforced_is_refused(llm: LlmClient, schema: dict[str, Any]) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "bad", "schema": schema}}
    error = await refusal(llm, ask(response_format=wanted))
    assert (error.kind, error.reason) == (ErrorKind.INVALID_ARGUMENT, "SCHEMA_NOT_ENFORCEABLE")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "spray"}}], ids=str)
async def test_a_call_that_must_be_made_obeys_its_schema(llm: LlmClient, choice: Any) -> None:
    payload = ask(
        max_tokens=1000, tools=TOOLS, tool_choice=choice, parallel_tool_calls=False,
        sampling={"temperature": 1, "seed": 1, "ignore_eos": False},
    )  # fmt: skip
    text, (calls, end) = await answer(llm, payload)
    assert end["finish"] == "tool_calls"
    assert "tool_call" not in text
    (call,) = calls["tool_calls"]
    assert call["id"]
    assert call["name"] in ("paint", "spray") if choice == "required" else call["name"] == "spray"
    assert json.loads(call["arguments"])["colour"] in ("red", "blue")


async def test_plain_text_streams_beside_tools(llm: LlmClient) -> None:
    wanted, _ = await answer(llm, ask(max_tokens=30, tools=TOOLS, tool_choice="none"))
    several = [chunks async for chunks in llm.generate(generate(ask(max_tokens=30, tools=TOOLS)), timeout=30)]
    assert len(several) > 2
    assert "".join(plain(chunk).get("text", "") for found in several for chunk in found) == wanted


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"messages": []}, "BAD_LLM_REQUEST"),
        ({"messages": [{"role": "nobody", "content": 4}]}, "BAD_LLM_REQUEST"),
        (ask(sampling={"temperature": -1}), "BAD_LLM_REQUEST"),
        (ask(sampling={"best_of": 3}), "BAD_LLM_REQUEST"),
        (ask(lora="nobody"), "LORA_NOT_FOUND"),
    ],
)
async def test_what_cannot_be_served_is_refused(llm: LlmClient, payload: dict[str, Any], reason: str) -> None:
    assert (await refusal(llm, payload)).reason == reason


async def test_prefixes_are_cached(llm: LlmClient) -> None:
    text = "A beginning that many share. " * 20
    _, (first,) = await answer(llm, ask(text))
    _, (second,) = await answer(llm, ask(text))
    assert first["usage"]["cached"] == 0
    assert second["usage"]["cached"] > 100


async def test_an_adapter_is_chosen_by_its_name(llm: LlmClient) -> None:
    wanted, _ = await answer(llm, ask(max_tokens=30))
    adapted, _ = await answer(llm, ask(max_tokens=30, lora="other"))
    assert wanted != adapted


async def test_the_deadline_ends_the_sequence(llm: LlmClient, llm_server: Server) -> None:
    metrics = Metrics(llm_server.llm_metrics)
    with pytest.raises(DeadlineExceeded):
        await answer(llm, ask(max_tokens=8000), timeout=0.3)
    await metrics.until(idle, 1)


async def test_it_is_ready_once_it_has_generated(llm: LlmClient, llm_server: Server) -> None:
    metrics = Metrics(llm_server.llm_metrics)
    before = metrics.value("vllm:generation_tokens_total")
    assert await llm.ready()
    assert await llm.ready()
    await asyncio.sleep(0.6)  # the server tries again after half a second without a generation
    assert await llm.ready()
    assert metrics.value("vllm:generation_tokens_total") > before


async def test_nobody_there_is_unavailable() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        client = LlmClient(channel)
        assert not await client.ready()
        assert (await refusal(client, ask())).kind == ErrorKind.UNAVAILABLE
        assert (await refusal(client, ask())).reason == "LLM_UNAVAILABLE"
        await client.aclose()


def idle(metrics: Metrics) -> bool:
    return metrics.value("vllm:num_requests_running") == 0 and metrics.value("vllm:kv_cache_usage_perc") == 0
