"""The generator over an upstream, against vLLM's own server and a model that answers."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from services.llm.catalogue.entry import CatalogueEntry, EngineKind
from services.llm.chat import Form, Message, ResponseFormat, Role, Sampling
from services.llm.client import HttpClient
from services.llm.endpoint import endpoint_of
from services.llm.generation import Calls, Ended, Finish, Generation, Piece
from services.llm.openai.engine import OpenAiEngine
from services.orchestrator.domain.tool import Declaration
from services.runtime.errors import DomainError, ErrorKind
from tests.fakes.random_llm import make_llm
from tests.fakes.serving import until
from tests.fakes.vllm_serve import vllm_serve

pytest.importorskip("vllm")

CALCULATOR = Declaration(
    "calculator", "Computes.", {"type": "object", "properties": {"expression": {"type": "string"}}}
)
CONTEXT = 512
SLOW_CONTEXT = 4096
GREEDY = Sampling(temperature=0, max_tokens=200)


@pytest.fixture(scope="module")
def url(tiny_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("vllm") / "serve.log"
    parsers = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes")
    with vllm_serve(tiny_llm, "tiny", log, *parsers, context=CONTEXT) as served:
        yield served


@pytest.fixture
async def upstream(url: str) -> AsyncIterator[OpenAiEngine]:
    client = HttpClient()
    await client.open()
    yield OpenAiEngine(client, endpoint_of(CatalogueEntry("small", EngineKind.OPENAI, model="tiny", base_url=url)))
    await client.aclose()


def asked(*messages: Message, **more: object) -> Generation:
    return Generation(messages, sampling=GREEDY, **more)  # type: ignore[arg-type]  # fields of Generation


def said(question: str) -> Message:
    return Message(Role.USER, question)


async def generated(upstream: OpenAiEngine, generation: Generation) -> tuple[str, list[Calls], Ended]:
    *pieces, ended = [piece async for piece in upstream.generate(generation)]
    assert isinstance(ended, Ended)
    text = "".join(piece.text for piece in pieces if isinstance(piece, Piece))
    return text, [piece for piece in pieces if isinstance(piece, Calls)], ended


async def figure(url: str, name: str) -> float:
    """One of the engine's own figures."""
    async with httpx.AsyncClient() as client:
        lines = (await client.get(url.replace("/v1", "/metrics"))).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"vllm:{name}{{"))


async def is_running(url: str, count: int) -> bool:
    return await figure(url, "num_requests_running") == count


async def test_text_with_its_usage_and_confidence(upstream: OpenAiEngine) -> None:
    text, _, ended = await generated(upstream, asked(said("Hello!"), confidence=True))
    assert text == "Hello! How can I help you?"
    assert (ended.finish, ended.tokens.read > 3, 3 < ended.tokens.written < 40) == (Finish.STOP, True, True)
    assert ended.confidence is not None
    assert 0.5 < ended.confidence <= 1


async def test_a_call_and_the_answer_from_its_result(upstream: OpenAiEngine) -> None:
    question = said("What is 17 times 23?")
    _, (calls,), ended = await generated(upstream, asked(question, tools=(CALCULATOR,)))
    (call,) = calls.calls
    assert (call.name, json.loads(call.arguments_json)) == ("calculator", {"expression": "17 * 23"})
    assert ended.finish is Finish.TOOL_CALLS
    result = Message(Role.TOOL, "391", tool_call_id=call.id)
    after = asked(question, Message(Role.ASSISTANT, "", calls.calls), result, tools=(CALCULATOR,))
    text, none, _ = await generated(upstream, after)
    assert (text, none) == ("17 times 23 is 391.", [])


async def test_a_schema_is_enforced(upstream: OpenAiEngine) -> None:
    schema = {
        "type": "object", "required": ["name", "age"], "additionalProperties": False,
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    }  # fmt: skip
    form = ResponseFormat(Form.JSON_SCHEMA, "person", schema)
    text, _, _ = await generated(
        upstream, asked(said("Extract the person: Ada is 36 years old."), response_format=form)
    )
    assert json.loads(text) == {"name": "Ada", "age": 36}


async def test_a_context_that_is_too_long_is_told_with_both_lengths(upstream: OpenAiEngine) -> None:
    with pytest.raises(DomainError) as caught:
        await generated(upstream, asked(said("mill " * 2000)))
    error = caught.value
    assert (error.kind, error.reason) == (ErrorKind.INVALID_ARGUMENT, "CONTEXT_TOO_LONG")
    assert error.details["context_length"] == str(CONTEXT)
    assert int(error.details["prompt_tokens"]) > CONTEXT


async def test_a_model_that_is_not_there(url: str, caplog: pytest.LogCaptureFixture) -> None:
    client = HttpClient()
    await client.open()
    other = OpenAiEngine(client, endpoint_of(CatalogueEntry("small", EngineKind.OPENAI, model="huge", base_url=url)))
    with pytest.raises(DomainError) as caught:
        await anext(other.generate(asked(said("Hello!"))))
    await client.aclose()
    assert (caught.value.kind, caught.value.reason) == (ErrorKind.UNAVAILABLE, "UPSTREAM_MISCONFIGURED")
    assert "'huge'" in caplog.records[-1].__dict__["hint"]


@pytest.fixture
def slow_url(tmp_path: Path) -> Iterator[str]:
    """A model large enough to write for a minute: on a busy machine a client that leaves is noticed late."""
    shape = {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12}
    model = make_llm(tmp_path / "model", context=SLOW_CONTEXT, num_key_value_heads=12, **shape)
    with vllm_serve(model, "tiny", tmp_path / "serve.log", context=SLOW_CONTEXT) as served:
        yield served


async def test_who_leaves_stops_the_engine(slow_url: str) -> None:
    endless = Generation((said("Tell me a long story."),), sampling=Sampling(temperature=0, ignore_eos=True))
    client = HttpClient()
    await client.open()
    engine = OpenAiEngine(
        client, endpoint_of(CatalogueEntry("small", EngineKind.OPENAI, model="tiny", base_url=slow_url))
    )
    async with aclosing(engine.generate(endless)) as pieces:
        for _ in range(5):
            await anext(pieces)
    await until(lambda: is_running(slow_url, 0))
    assert 5 <= await figure(slow_url, "generation_tokens_total") < SLOW_CONTEXT / 2
    await client.aclose()
