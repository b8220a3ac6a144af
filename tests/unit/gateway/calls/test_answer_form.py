"""What a bare model's upstream leaves out of OpenAI's form, or has too often, clients get as OpenAI has it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ParsedChatCompletion

from services.llm.openai import chunks
from tests.fakes.openai_upstream import HEAD, delta, event, usage
from tests.unit.gateway.calls.test_form import answer, client

Json = dict[str, Any]
FIRST, STOP = delta(role="assistant", content=""), delta("stop")
USED = {name: value for name, value in usage(9, 7, 4).items() if name not in HEAD}


def headed(*given: Mapping[str, Any]) -> list[Json]:
    return [{**HEAD, **chunk} for chunk in given]


def headless(*given: Mapping[str, Any]) -> list[Json]:
    return [{"choices": chunk["choices"]} for chunk in given]


def call(**more: Any) -> Mapping[str, Any]:
    return delta(tool_calls=[{"index": 0, **more}])


WHO = {"id": "c1", "type": "function"}
CALLS: list[tuple[str, list[Mapping[str, Any]]]] = [
    ("as OpenAI has them", [call(**WHO, function={"name": "f", "arguments": ""}), call(function={"arguments": "{}"})]),
    ("no type", [call(id="c1", function={"name": "f", "arguments": "{}"})]),
    ("null for arguments", [call(**WHO, function={"name": "f", "arguments": None}),
                            call(function={"arguments": "{}"})]),
    ("no arguments", [call(**WHO, function={"name": "f"})]),
    ("empty arguments", [call(**WHO, function={"name": "f", "arguments": ""})]),
    ("one object for a list", [delta(tool_calls={**WHO, "function": {"name": "f", "arguments": "{}"}})]),
]  # fmt: skip
TEXTS: list[tuple[str, list[Json]]] = [
    ("as OpenAI has it", headed(FIRST, delta(content="Hel"), delta(content="lo"), STOP)),
    ("no head", headless(FIRST, delta(content="Hel"), delta(content="lo"), STOP)),
    ("an empty head", [{**each, "id": "", "model": "", "object": "", "created": 0}
                       for each in (FIRST, delta(content="Hel"), delta(content="lo"), STOP)]),
    ("the object of a whole", [{**each, "object": "chat.completion"} for each in headed(delta(content="Hello"), STOP)]),
    ("no role", headed(delta(content="Hel"), delta(content="lo"), STOP)),
    ("null for a role", headed(delta(role=None, content="Hel"), delta(role=None, content="lo"), STOP)),
    ("another role", headed(delta(role="model", content="Hel"), delta(role="model", content="lo"), STOP)),
    ("a role in each", headed(*(delta(role="assistant", content=each) for each in ("H", "e", "l", "lo")),
                              delta("stop", role="assistant", content=""))),
    ("a role in each, and no head", headless(*(delta(role="assistant", content=each) for each in ("H", "el", "lo")),
                                             STOP)),
    ("empty reasons", headed(*(delta("", content=each) for each in ("H", "el", "lo")), STOP)),
    ("chunks of nothing", [{}, *headed({"choices": []}, delta(content="Hello"), {"choices": []}, STOP)]),
    ("no reason", headed(FIRST, delta(content="Hello"))),
    ("only a reason", headed(delta("stop", content="Hello"))),
    ("a message", [{**HEAD, "choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}]}]),
    ("a message beside an empty delta", [{**HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop",
                                                              "message": {"content": "Hello"}}]}]),
]  # fmt: skip


def streamed(given: Sequence[Mapping[str, Any]], guarded: bool = False) -> bytes:
    return answer(stream=True, guarded=guarded).take(b"".join(map(event, given)) + event("[DONE]"))


def parsed(data: bytes) -> list[ChatCompletionChunk]:
    """The chunks, each with all that OpenAI's have."""
    *events, done, rest = data.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    made = [ChatCompletionChunk.model_validate_json(each.removeprefix(b"data: "), strict=True) for each in events]
    roles = [choice.delta.role for chunk in made for choice in chunk.choices]
    assert roles == ["assistant"] + [None] * (len(roles) - 1)
    assert all(b'"role"' not in each for each in events[1:])
    assert len({(chunk.id, chunk.model, chunk.object) for chunk in made}) == 1
    assert all(chunk.id and chunk.model and chunk.created for chunk in made)
    reasons = [choice.finish_reason for chunk in made for choice in chunk.choices]
    assert reasons[-1]
    assert not any(reasons[:-1])
    return made


def gathered(data: bytes) -> ParsedChatCompletion[None]:
    """What OpenAI's client puts together."""
    with client(data, "text/event-stream").chat.completions.stream(model="m", messages=[]) as events:
        for _ in events:
            pass
    return events.get_final_completion()


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("given", [text[1] for text in TEXTS], ids=[text[0] for text in TEXTS])
def test_a_text(given: list[Json], guarded: bool) -> None:
    data = streamed([*given, USED], guarded)
    made = parsed(data)
    assert [bool(chunk.choices) for chunk in made] == [True] * (len(made) - 1) + [False]
    whole = gathered(data).choices[0]
    assert (whole.message.role, whole.message.content, whole.finish_reason) == ("assistant", "Hello", "stop")


@pytest.mark.parametrize("reason", ["tool_calls", "stop"])
@pytest.mark.parametrize("given", [calls[1] for calls in CALLS], ids=[calls[0] for calls in CALLS])
def test_calls(given: list[Json], reason: str) -> None:
    data = streamed(headed(delta(role="assistant", content=None), *given, delta(reason)))
    parsed(data)
    choice = gathered(data).choices[0]
    assert choice.message.tool_calls is not None
    [made] = choice.message.tool_calls
    assert (made.id, made.type, made.function.name, made.function.arguments) == ("c1", "function", "f", "{}")
    assert choice.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("function", "reason"), [({"name": "f"}, "stop"), ({"name": "f", "arguments": ""}, None),
                             ({"name": "f", "arguments": {}}, "tool_calls")]
)  # fmt: skip
def test_a_whole_answer(function: Json, reason: str | None) -> None:
    choice = {"message": {"tool_calls": [{"function": function}]}, "finish_reason": reason}
    used = {"prompt_tokens": 9, "completion_tokens": 7}
    data = answer(stream=False).whole(json.dumps({"choices": [choice], "usage": used}).encode())
    whole = ChatCompletion.model_validate_json(data, strict=True)
    assert whole.choices[0].message.tool_calls is not None
    [made] = whole.choices[0].message.tool_calls
    assert made.type == "function"
    assert (made.function.name, made.function.arguments) == ("f", "{}")
    assert (whole.choices[0].finish_reason, whole.object, whole.model) == ("tool_calls", "chat.completion", "m")
    assert (whole.usage and whole.usage.total_tokens, whole.id[:9]) == (16, "chatcmpl-")


@pytest.mark.parametrize(("reason", "arguments"), [("content_filter", ""), (None, "{}")])
def test_only_calls_that_are_to_be_made_get_their_arguments(reason: str | None, arguments: str) -> None:
    sent = b"".join(map(event, headed(delta(role="assistant", content=None), call(**WHO, function={"name": "f"}))))
    ended = answer(stream=True)
    data = ended.take(sent) + (ended.stop(b"", reason) if reason else ended.take(event("[DONE]")))
    parts = [part for chunk in parsed(data) for choice in chunk.choices for part in choice.delta.tool_calls or ()]
    assert "".join(part.function.arguments or "" for part in parts if part.function) == arguments


@pytest.mark.parametrize("said", ["evil", "good evil"])
def test_an_answer_that_is_blocked_has_a_role_once(said: str) -> None:
    blocked = answer(stream=True, guarded=True)
    out = blocked.take(event(delta(role="assistant", content=said)))
    parsed(blocked.stop(out, "content_filter"))


def test_an_upstream_that_says_nothing() -> None:
    first, last = parsed(streamed([]))
    assert (first.choices[0].finish_reason, first.choices[0].delta.content) == ("stop", "")
    assert last.usage is not None
    assert last.usage.completion_tokens == 0


@pytest.mark.parametrize("given", [text[1] for text in TEXTS[:2]], ids=[text[0] for text in TEXTS[:2]])
def test_of_chunks_that_are_alike_one_is_read(given: list[Json], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where each of them lacks the same."""
    read: list[bytes] = []
    known = chunks.read

    def noted(raw: bytes, data: bytes, mend: chunks.Mend | None = None) -> chunks.Chunk:
        read.append(data)
        return known(raw, data, mend)

    monkeypatch.setattr(chunks, "read", noted)
    many = [given[1]] * 100
    made = parsed(streamed([given[0], *many, given[-1]]))
    assert "".join(choice.delta.content or "" for chunk in made for choice in chunk.choices) == "Hel" * 100
    assert len(read) < 6


def test_of_a_chunk_that_is_alike_its_data_alone_goes_on() -> None:
    said = [event(chunk) for chunk in headed(FIRST, *(delta(content=each) for each in "abc"), STOP)]
    data = answer(stream=True).take(b"".join(b"event: x\n: secret\n" + each for each in said) + event("[DONE]"))
    assert "".join(choice.delta.content or "" for chunk in parsed(data) for choice in chunk.choices) == "abc"
    assert b"secret" not in data
