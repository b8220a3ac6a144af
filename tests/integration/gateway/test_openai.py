"""The OpenAI face over HTTP."""

import json
from typing import Any

import grpc
import numpy as np
import pytest
from headworks.orchestrator.v1 import run_pb2
from openai import AsyncOpenAI, UnprocessableEntityError
from openai.types import CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from services.orchestrator.agents.specs.errors import OutputInvalid
from services.runtime.errors import CollectionNotFound, DomainError, InvalidArgument, ModelNotFound, Unavailable
from tests.fakes.http_calls import HttpCall, Part, Refused
from tests.fakes.orchestrator import RUN_ID, FakeOrchestrator, approval, events, tool_call
from tests.fakes.serving import until
from tests.fakes.triton import FakeTriton, vector_of
from tests.integration.gateway.conftest import KEY, MakeGateway

TEXTS = ("Cats sleep.", "猫は寝る。")
EMBED = {"model": "all-minilm-l6-v2"}


async def read(call: HttpCall) -> list[Part]:
    return [message async for message in call]


def data_of(messages: list[Part]) -> list[str]:
    """The data of server-sent events, their framing checked."""
    assert {message.content_type for message in messages} == {"text/event-stream"}
    stream = b"".join(message.data for message in messages).decode()
    assert stream.endswith("\n\n")
    found = []
    for event in stream.removesuffix("\n\n").split("\n\n"):
        assert event.startswith("data: ")
        assert "\n" not in event
        found.append(event.removeprefix("data: "))
    return found


async def failure(call: HttpCall) -> tuple[int, dict[str, Any]]:
    """The status of a call that fails, and OpenAI's form of why."""
    with pytest.raises(Refused) as caught:
        await read(call)
    assert caught.value.headers["content-type"] == "application/json"
    return caught.value.status, caught.value.error


async def test_a_completion(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events(*TEXTS)))
    (answer,) = await read(gateway.chat(metadata={"collection": "cats"}))
    assert answer.content_type == "application/json"
    whole = ChatCompletion.model_validate_json(answer.data)
    assert whole.choices[0].message.content == " ".join(TEXTS)
    (run,), (call,) = gateway.orchestrator.runs, gateway.orchestrator.calls
    assert (run.model, run.collection, run.detached, run.messages[0].content) == ("rag", "cats", False, "why?")
    assert (call.tenant, call.identity and call.identity.subject) == ("acme", "dev")


@pytest.mark.parametrize("include_usage", [False, True])
async def test_a_streamed_completion(make_gateway: MakeGateway, include_usage: bool) -> None:
    gateway = await make_gateway(FakeOrchestrator(events(*TEXTS)))
    *chunks, done = data_of(await read(gateway.chat(stream=True, stream_options={"include_usage": include_usage})))
    parsed = [ChatCompletionChunk.model_validate_json(chunk) for chunk in chunks]
    assert done == "[DONE]"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in parsed if chunk.choices) == " ".join(TEXTS)
    last = parsed[-2] if include_usage else parsed[-1]
    assert last.choices[0].finish_reason == "stop"
    assert [chunk.usage is not None for chunk in parsed].count(True) == include_usage
    if include_usage:
        assert parsed[-1].choices == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("moves", range(5))
async def test_a_run_that_is_with_another_replica_is_followed_there(
    make_gateway: MakeGateway, stream: bool, moves: int
) -> None:
    """Each event once, wherever the replica was given up."""
    gateway = await make_gateway(FakeOrchestrator(events(*TEXTS), moves=moves))
    got = await read(gateway.chat(stream=stream))
    if stream:
        *chunks, _ = data_of(got)
        parsed = [ChatCompletionChunk.model_validate_json(chunk) for chunk in chunks]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in parsed if chunk.choices)
        assert parsed[-1].choices[0].finish_reason == "stop"
    else:
        whole = ChatCompletion.model_validate_json(got[0].data)
        text = whole.choices[0].message.content or ""
    assert text == " ".join(TEXTS)
    assert len(gateway.orchestrator.runs) == len(gateway.orchestrator.attached) == 1


async def test_a_run_that_was_ended_elsewhere_is_an_error_that_says_so(make_gateway: MakeGateway) -> None:
    says = events(*TEXTS)
    end = says[-1].finished
    end.reason, end.error_code = run_pb2.FINISH_REASON_ERROR, grpc.StatusCode.UNAVAILABLE.value[0]
    end.error_reason, end.error_message = "RUN_INTERRUPTED", "its process stood still; ask again"
    gateway = await make_gateway(FakeOrchestrator(says, moves=2))
    status, error = await failure(gateway.chat())
    assert (status, error["code"], error["message"]) == (503, "run_interrupted", "its process stood still; ask again")


async def test_each_piece_goes_out_as_it_comes(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events(*TEXTS), hold=2))
    call = gateway.chat(stream=True)
    (first,) = data_of([await call.read()])
    assert ChatCompletionChunk.model_validate_json(first).choices[0].delta.content == TEXTS[0]
    await gateway.orchestrator.held.wait()
    call.cancel()
    await until(gateway.orchestrator.left.is_set)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("hold", [0, 2])
async def test_a_caller_who_leaves_ends_the_run(make_gateway: MakeGateway, stream: bool, hold: int) -> None:
    gateway = await make_gateway(FakeOrchestrator(events(*TEXTS), hold=hold))
    call = gateway.chat(stream=stream)
    await gateway.orchestrator.held.wait()
    assert not gateway.orchestrator.left.is_set()
    call.cancel()
    await until(gateway.orchestrator.left.is_set, 60)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "code", "reason", "kind", "word"),
    [
        (CollectionNotFound("cats"), 404, "COLLECTION_NOT_FOUND", "invalid_request_error", None),
        (ModelNotFound("gpt-4"), 404, "MODEL_NOT_FOUND", "invalid_request_error", None),
        (ModelNotFound("模" * 100_000), 404, "MODEL_NOT_FOUND", "invalid_request_error", None),
        (InvalidArgument("x", field="f"), 400, "INVALID_ARGUMENT", "invalid_request_error", "f"),
        (Unavailable("gone"), 503, "UNAVAILABLE", "server_error", None),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
async def test_an_error_before_the_first_text_is_the_status(
    make_gateway: MakeGateway, stream: bool, error: DomainError, code: int, reason: str, kind: str, word: str | None
) -> None:
    gateway = await make_gateway(FakeOrchestrator(events()[:1], error=error))
    status, told = await failure(gateway.chat(stream=stream))
    assert status == code
    assert (told["code"], told["type"], told["param"]) == (reason.lower(), kind, word)
    assert told["message"]


async def test_an_error_after_the_first_text_is_an_event_of_its_own(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events(*TEXTS)[:2], error=Unavailable("gone")))
    call = gateway.chat(stream=True)
    text, error, done = data_of(await read(call))
    assert ChatCompletionChunk.model_validate_json(text).choices[0].delta.content == TEXTS[0]
    assert json.loads(error)["error"] == {
        "message": "gone", "type": "server_error", "param": None, "code": "unavailable",
    }  # fmt: skip
    assert done == "[DONE]"
    assert (await call.response()).status_code == 200


async def test_an_error_after_the_first_text_of_a_whole_answer_is_the_status(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events(*TEXTS)[:2], error=Unavailable("gone")))
    assert (await failure(gateway.chat()))[0] == 503


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"model": "\xff"}', b"[" * 100_000, b'{"model": "rag"}', b'{"model": "rag", "n": 2}'],
    ids=lambda body: str(body[:20]),
)
async def test_a_malformed_body(make_gateway: MakeGateway, body: bytes) -> None:
    gateway = await make_gateway()
    status, told = await failure(gateway.chat(body))
    assert (status, told["type"]) == (400, "invalid_request_error")
    assert gateway.orchestrator.runs == []


async def test_a_deadline_reaches_the_run(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events(*TEXTS), hold=0), max_deadline_seconds=0.3)
    status, told = await failure(gateway.chat(timeout=None))
    assert (status, told["type"]) == (504, "timeout_error")
    await until(gateway.orchestrator.left.is_set)


async def comments_and_data(call: Any) -> tuple[list[str], list[str]]:
    stream = b"".join([message.data for message in await read(call)]).decode()
    parts = stream.removesuffix("\n\n").split("\n\n")
    return [part for part in parts if part.startswith(":")], [part[6:] for part in parts if part.startswith("data: ")]


async def test_a_stream_that_waits_for_approval_is_kept_open(make_gateway: MakeGateway) -> None:
    says = [*events()[:1], approval("apr_1"), *events(*TEXTS)[1:]]
    fake = FakeOrchestrator(says, hold=2)
    gateway = await make_gateway(fake, heartbeat_seconds=0.05)
    call = gateway.chat(stream=True)
    sent = aiter(call)
    pending, *comments = [(await anext(sent)).data.decode() for _ in range(3)]
    pending = pending.removeprefix("data: ")
    fake.resume.set()
    more, (*said, done) = await comments_and_data(sent)
    assert {one.strip() for one in [*comments, *more]} == {f": run {RUN_ID} is waiting for approval apr_1"}
    assert json.loads(pending)["headworks"]["pending_approvals"][0]["approval_id"] == "apr_1"
    assert "".join(json.loads(one)["choices"][0]["delta"].get("content") or "" for one in said) == " ".join(TEXTS)
    assert done == "[DONE]"


@pytest.mark.parametrize("hold", [1, 2], ids=["before any text", "after some"])
async def test_a_stream_on_which_nothing_comes_has_comments(make_gateway: MakeGateway, hold: int) -> None:
    """While a tool runs, for one."""
    fake = FakeOrchestrator(events(*TEXTS), hold=hold)
    gateway = await make_gateway(fake, heartbeat_seconds=0.02)
    call = gateway.chat(stream=True)
    sent = aiter(call)
    comments = 0
    while comments < 3:
        comments += (await anext(sent)).data == b": still working\n\n"
    fake.resume.set()
    _, (*said, done) = await comments_and_data(sent)
    text = "".join(json.loads(one)["choices"][0]["delta"].get("content") or "" for one in said)
    assert (text, done) == (" ".join(TEXTS).removeprefix("" if hold == 1 else TEXTS[0]), "[DONE]")


async def test_a_refusal_before_any_comment_has_its_status(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events()[:1], error=Unavailable("gone")), heartbeat_seconds=60)
    assert (await failure(gateway.chat(stream=True)))[0] == 503


async def test_an_answer_without_its_form_is_not_asked_for_again(make_gateway: MakeGateway) -> None:
    """OpenAI's clients repeat what fails with a status from 500 on, and each time the model would write it again."""
    gateway = await make_gateway(FakeOrchestrator(events()[:1], error=OutputInvalid("the model's answer is no JSON")))
    async with AsyncOpenAI(base_url=f"{gateway.http.base_url}/v1", api_key=KEY, max_retries=3) as client:
        with pytest.raises(UnprocessableEntityError) as caught:
            await client.chat.completions.create(model="rag", messages=[{"role": "user", "content": "why?"}])
    assert (caught.value.status_code, caught.value.code) == (422, "output_invalid")
    assert len(gateway.orchestrator.runs) == 1


@pytest.mark.parametrize("timeout", [3, None])
async def test_an_approval_that_does_not_come_in_time(make_gateway: MakeGateway, timeout: float | None) -> None:
    fake = FakeOrchestrator([*events()[:1], approval("apr_1")], hold=2)
    gateway = await make_gateway(fake, max_deadline_seconds=3)
    status, told = await failure(gateway.chat(timeout=timeout))
    assert status == 504
    assert (told["code"], told["type"]) == ("approval_pending", "timeout_error")
    assert (told["run_id"], told["approval_id"]) == (RUN_ID, "apr_1")
    assert "apr_1" in told["message"]
    await until(fake.left.is_set)


async def test_an_approval_that_does_not_come_in_time_for_a_stream(make_gateway: MakeGateway) -> None:
    fake = FakeOrchestrator([*events()[:1], approval("apr_1")], hold=2)
    gateway = await make_gateway(fake, max_deadline_seconds=3)
    _, (_, error, done) = await comments_and_data(gateway.chat(stream=True))
    assert (json.loads(error)["error"]["code"], done) == ("approval_pending", "[DONE]")
    await until(fake.left.is_set)


async def test_a_caller_who_leaves_a_waiting_run(make_gateway: MakeGateway) -> None:
    fake = FakeOrchestrator([*events()[:1], approval("apr_1")], hold=2)
    gateway = await make_gateway(fake, heartbeat_seconds=0.01)
    call = gateway.chat(stream=True)
    for _ in range(3):
        await call.read()
    call.cancel()
    await until(fake.left.is_set, 60)


async def test_calls_of_the_caller_s_tools(make_gateway: MakeGateway) -> None:
    says = [*events()[:1], tool_call("weather", '{"city": "Oslo"}'), *events()[-2:]]
    says[-1].finished.reason = run_pb2.FINISH_REASON_TOOL_CALLS
    gateway = await make_gateway(FakeOrchestrator(says))
    tools = [{"type": "function", "function": {"name": "weather"}}]
    (answer,) = await read(gateway.chat(tools=tools, tool_choice="required"))
    choice = ChatCompletion.model_validate_json(answer.data).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert [call.id for call in choice.message.tool_calls or ()] == ["call_weather"]
    (run,) = gateway.orchestrator.runs
    assert ([tool.name for tool in run.tools], run.tool_choice.mode) == (["weather"], 3)


@pytest.mark.parametrize(("field", "param"), [("session_id", "metadata.session_id"), ("max_tokens", "max_tokens")])
async def test_what_a_run_finds_wrong_is_named_as_it_was_written(
    make_gateway: MakeGateway, field: str, param: str
) -> None:
    gateway = await make_gateway(FakeOrchestrator(error=InvalidArgument("no", field=field)))
    status, told = await failure(gateway.chat())
    assert (status, told["param"]) == (400, param)


async def test_the_models(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    answer = json.loads((await gateway.ask("GET", "/v1/models").whole()).data)
    assert answer["object"] == "list"
    ids = [Model.model_validate(one, strict=True).id for one in answer["data"]]
    assert ids == ["rag", "bare", "all-minilm-l6-v2"]
    assert {one["owned_by"] for one in answer["data"]} == {"headworks"}
    agent, bare, embedder = (one["headworks"] for one in answer["data"])
    assert agent == {
        "kind": "agent", "version": 2, "description": "Answers.", "capabilities": [],
        "prices": {"input": 0.0, "output": 0.0},
    }  # fmt: skip
    assert bare == {
        "kind": "model", "description": "", "context_length": 2048, "capabilities": ["tools"],
        "prices": {"input": 0.5, "output": 1.5},
    }  # fmt: skip
    assert embedder["kind"] == "embedder"
    one = await gateway.ask("GET", "/v1/models/rag").whole()
    assert Model.model_validate_json(one.data).id == "rag"


@pytest.mark.parametrize("name", ["gpt-4", "語", "x" * 50_000])
async def test_an_unknown_model(make_gateway: MakeGateway, name: str) -> None:
    gateway = await make_gateway()
    status, told = await failure(gateway.ask("GET", f"/v1/models/{name}"))
    assert (status, told["code"]) == (404, "model_not_found")


async def test_embeddings(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    texts = [f"text number {number}" for number in range(150)]
    read_ = CreateEmbeddingResponse.model_validate(await gateway.embed(**EMBED, input=texts))
    assert [one.index for one in read_.data] == list(range(150))
    expected = np.array([vector_of(text) for text in texts])
    assert np.array_equal(np.array([one.embedding for one in read_.data], np.float32), expected)
    assert read_.usage.prompt_tokens == 3 * 150
    assert [len(request.raw_input_contents[0]) > 0 for request in gateway.triton.requests] == [True] * 3


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_the_most_embeddings(make_gateway: MakeGateway, encoding: str) -> None:
    gateway = await make_gateway()
    answer = await gateway.embed(**EMBED, input=["語"] * 2048, encoding_format=encoding)
    assert len(answer["data"]) == 2048


async def test_embeddings_of_an_unknown_model(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    status, told = await failure(gateway.embed_raw(b'{"model": "other", "input": "x"}'))
    assert (status, told["code"]) == (404, "model_not_found")


async def test_embeddings_of_token_arrays(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    hello = [15339, 1917]
    one, many = await gateway.embed(**EMBED, input=hello), await gateway.embed(**EMBED, input=["a", hello])
    expected = vector_of("hello world").tolist()
    assert one["data"][0]["embedding"] == many["data"][1]["embedding"] == pytest.approx(expected)


async def test_a_text_that_is_too_long_to_embed_is_refused_by_its_index(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    texts = ["short"] * 70 + ["word " * 513]
    status, told = await failure(gateway.embed_raw(json.dumps(EMBED | {"input": texts}).encode()))
    assert (status, told["code"], told["param"]) == (400, "context_length_exceeded", "input[70]")
    assert "513 tokens" in told["message"]


async def test_embeddings_without_triton(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(triton=FakeTriton(code=grpc.StatusCode.UNAVAILABLE))
    status, told = await failure(gateway.embed_raw(json.dumps(EMBED | {"input": "x"}).encode()))
    assert (status, told["type"]) == (503, "server_error")
    assert "said by Triton" not in told["message"]
