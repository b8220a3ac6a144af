"""A run's events in OpenAI's form, as its own package reads it."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from headworks.orchestrator.v1 import run_event_pb2 as event_pb
from headworks.orchestrator.v1 import run_pb2
from headworks.type.v1 import usage_pb2
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.faces.http.openai.chat_response import Completion
from gateway.faces.http.openai.chunks import Chunks
from gateway.faces.http.openai.seen import Seen
from tests.fakes.orchestrator import RUN_ID, approval, events, tool_call

Events = list[event_pb.RunEvent]


def numbered(made: Iterable[event_pb.RunEvent]) -> Events:
    found = list(made)
    for number, event in enumerate(found):
        event.run_id, event.sequence = RUN_ID, number + 1
    return found


def whole_of(made: Iterable[event_pb.RunEvent]) -> dict[str, Any]:
    completion = Completion(Seen("rag"))
    completion.take(numbered(made))
    return completion.json(0.0025)


def stream_of(made: Iterable[event_pb.RunEvent], *, together: bool = False, usage: bool = True) -> list[dict[str, Any]]:
    """The data of each server-sent event but the last, which is the mark of the end."""
    chunks, all_ = Chunks(Seen("rag")), numbered(made)
    sent = [chunks.take(all_)] if together else [chunks.take([event]) for event in all_]
    told = b"".join([*sent, chunks.last(0.001, usage)]).decode().removesuffix("\n\n").split("\n\n")
    assert told[-1] == "data: [DONE]"
    return [json.loads(one.removeprefix("data: ")) for one in told[:-1]]


def parsed(chunks: list[dict[str, Any]]) -> list[ChatCompletionChunk]:
    return [ChatCompletionChunk.model_validate(chunk, strict=True) for chunk in chunks]


def ended(reason: run_pb2.FinishReason.ValueType, limit: str = "") -> Events:
    event = event_pb.RunEvent()
    event.finished.reason, event.finished.limit = reason, limit
    return [*events()[:1], event]


@pytest.mark.parametrize("texts", [[], ["Cats sleep."], ["Cats sleep.", "猫は寝る。", "😀"]])
def test_the_whole(texts: list[str]) -> None:
    whole = ChatCompletion.model_validate(whole_of(events(*texts)), strict=True)
    message = whole.choices[0].message
    assert (whole.object, whole.model, whole.id) == ("chat.completion", "rag", f"chatcmpl-{RUN_ID}")
    assert (message.role, message.content, message.refusal) == ("assistant", " ".join(texts), None)
    assert (whole.choices[0].finish_reason, message.tool_calls) == ("stop", None)
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens) == (40, 7, 47)
    assert message.annotations is not None
    assert message.content is not None
    cited = [message.content[one.url_citation.start_index : one.url_citation.end_index] for one in message.annotations]
    assert cited == texts
    assert [one.url_citation.url for one in message.annotations] == [f"d{number}" for number in range(len(texts))]


@pytest.mark.parametrize("together", [False, True])
def test_what_was_thought_comes_beside_the_answer(together: bool) -> None:
    thoughts = [event_pb.RunEvent(reasoning=event_pb.ReasoningDelta(text=text)) for text in ("Let me ", "see.")]
    first, *rest = events("Cats sleep.")
    message = whole_of([first, *thoughts, *rest])["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("Let me see.", "Cats sleep.")
    streamed = stream_of([first, *thoughts, *rest], together=together)
    parsed(streamed)
    deltas = [choice["delta"] for chunk in streamed for choice in chunk["choices"]]
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == "Let me see."
    assert "".join(delta.get("content") or "" for delta in deltas) == "Cats sleep."
    assert [delta.get("role") for delta in deltas].count("assistant") == 1
    assert "reasoning_content" not in whole_of(events("Cats sleep."))["choices"][0]["message"]


@pytest.mark.parametrize("together", [False, True])
def test_a_refusal_stands_in_its_own_field(together: bool) -> None:
    said = [event_pb.RunEvent(text=event_pb.TextDelta(text=text, refusal=True)) for text in ("I'm ", "sorry.")]
    answer = [*said, *ended(run_pb2.FINISH_REASON_STOP)]
    message = whole_of(answer)["choices"][0]["message"]
    assert (message["refusal"], message["content"]) == ("I'm sorry.", None)
    streamed = stream_of(answer, together=together)
    parsed(streamed)
    deltas = [choice["delta"] for chunk in streamed for choice in chunk["choices"]]
    assert "".join(delta.get("refusal") or "" for delta in deltas) == "I'm sorry."
    assert not any(delta.get("content") for delta in deltas)


def test_what_openai_has_no_place_for() -> None:
    whole = whole_of(events("Cats sleep.", answered=False))
    assert whole["headworks"] == {
        "run_id": RUN_ID, "finish_reason": "no_answer", "timings_ms": {"gateway": 2.5, "orchestrator": 1.5},
    }  # fmt: skip
    citation = whole["choices"][0]["message"]["annotations"][0]["url_citation"]
    assert (citation["document_id"], citation["passage_id"], citation["span"]) == (
        "d0",
        "p",
        {"start": 100, "end": 111},
    )


def test_the_usage_says_what_was_cached_and_what_was_thought() -> None:
    used = event_pb.RunEvent()
    used.usage.usage.MergeFrom(
        usage_pb2.Usage(prompt_tokens=9, completion_tokens=7, cached_tokens=8, reasoning_tokens=5)
    )
    expected = {
        "prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16,
        "prompt_tokens_details": {"cached_tokens": 8}, "completion_tokens_details": {"reasoning_tokens": 5},
    }  # fmt: skip
    over = [used, *ended(run_pb2.FINISH_REASON_STOP)[1:]]
    assert whole_of(over)["usage"] == expected
    assert stream_of(over)[-1]["usage"] == expected


def test_what_a_route_has_decided() -> None:
    judged = event_pb.RouteDifficulty(value=0.25, by="classifier", abstained="far", explored=True)
    routed = event_pb.RunEvent(model_routed=event_pb.ModelRouted(route="thrifty", target="mini", difficulty=judged))
    expected = {"value": 0.25, "by": "classifier", "abstained": "far", "explored": True}
    assert whole_of([routed, *events("Yes.")])["headworks"]["route"]["difficulty"] == expected
    routed.model_routed.ClearField("difficulty")
    assert "difficulty" not in whole_of([routed, *events("Yes.")])["headworks"]["route"]


def test_what_an_agent_adds_to_that() -> None:
    started, usage, verdict = event_pb.RunEvent(), event_pb.RunEvent(), event_pb.RunEvent()
    started.started.session_id, started.started.agent_version = "s", 3
    usage.usage.usage.prompt_tokens, usage.usage.usage.cached_tokens, usage.usage.usage.cost_nanos = 9, 8, 2_500_000
    verdict.verdict.grader, verdict.verdict.passed, verdict.verdict.score = "grounded", True, 0.5
    whole = whole_of([started, usage, verdict, *ended(run_pb2.FINISH_REASON_LIMIT, "steps")[1:]])
    assert whole["usage"]["prompt_tokens_details"] == {"cached_tokens": 8}
    assert whole["headworks"] == {
        "run_id": RUN_ID, "finish_reason": "limit", "timings_ms": {"gateway": 2.5}, "session_id": "s",
        "agent_version": 3, "limit": "steps", "cost": 0.0025,
        "verdicts": [{"grader": "grounded", "passed": True, "score": 0.5, "reason": "", "attempt": 0,
                      "sentences": []}],
    }  # fmt: skip


def test_a_degraded_search_is_marked() -> None:
    passages = event_pb.RunEvent(passages=event_pb.PassagesRetrieved(degraded=True))
    assert whole_of([passages, *events("Cats sleep.")])["headworks"]["degraded"] is True


def test_a_search_without_the_reranker_is_marked() -> None:
    passages = event_pb.RunEvent(passages=event_pb.PassagesRetrieved(not_reranked=True))
    assert whole_of([passages, *events("Cats sleep.")])["headworks"]["not_reranked"] is True


@pytest.mark.parametrize(
    ("reason", "limit", "word"),
    [
        (run_pb2.FINISH_REASON_STOP, "", "stop"),
        (run_pb2.FINISH_REASON_NO_ANSWER, "", "stop"),
        (run_pb2.FINISH_REASON_REJECTED, "", "stop"),
        (run_pb2.FINISH_REASON_LENGTH, "", "length"),
        (run_pb2.FINISH_REASON_LIMIT, "tokens", "length"),
        (run_pb2.FINISH_REASON_LIMIT, "steps", "stop"),
        (run_pb2.FINISH_REASON_LIMIT, "calls:search", "stop"),
        (run_pb2.FINISH_REASON_TOOL_CALLS, "", "tool_calls"),
    ],
)
def test_why_it_ended(reason: run_pb2.FinishReason.ValueType, limit: str, word: str) -> None:
    assert whole_of(ended(reason, limit))["choices"][0]["finish_reason"] == word
    assert parsed(stream_of(ended(reason, limit)))[-2].choices[0].finish_reason == word


@pytest.mark.parametrize("together", [False, True])
def test_chunks(together: bool) -> None:
    chunks = parsed(stream_of(events('Cats "sleep".\n', "猫は寝る。😀"), together=together))
    *said, last, usage = chunks
    deltas = [chunk.choices[0].delta for chunk in said]
    assert [delta.role for delta in deltas] == ["assistant", *[None] * (len(deltas) - 1)]
    assert "".join(delta.content or "" for delta in deltas) == 'Cats "sleep".\n 猫は寝る。😀'
    assert [bool(delta.content) for delta in deltas] == [True, False, True, False]
    assert {chunk.choices[0].finish_reason for chunk in said} == {None}
    assert {chunk.id for chunk in chunks} == {f"chatcmpl-{RUN_ID}"}
    assert len({chunk.created for chunk in chunks}) == 1
    assert (last.choices[0].finish_reason, last.choices[0].delta.content) == ("stop", None)
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.total_tokens == 47


def test_texts_that_come_together_are_one_chunk() -> None:
    texts = [event_pb.RunEvent(text=event_pb.TextDelta(text=text)) for text in ("a", "b", "c")]
    made = [*events()[:1], *texts, *events()[1:]]
    assert [chunk["choices"][0]["delta"].get("content") for chunk in stream_of(made, together=True, usage=False)] == [
        "abc", None,
    ]  # fmt: skip


def test_without_a_word_there_is_a_message_all_the_same() -> None:
    (chunk,) = stream_of(events(), usage=False)
    assert chunk["choices"][0] == {
        "index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": "stop",
    }  # fmt: skip


def test_the_caller_s_tools_are_called_and_nobody_else_s() -> None:
    made = [tool_call("mine", '{"a": 1}'), tool_call("own", "{}", callers=False), tool_call("other", "{")]
    made = [*events()[:1], *made, *ended(run_pb2.FINISH_REASON_TOOL_CALLS)[1:]]
    whole = ChatCompletion.model_validate(whole_of(made), strict=True)
    calls = whole.choices[0].message.tool_calls or []
    told = [(call.id, call.type, call.function.name, call.function.arguments) for call in calls]  # type: ignore[union-attr]
    assert told == [("call_mine", "function", "mine", '{"a": 1}'), ("call_other", "function", "other", "{")]
    assert whole.choices[0].message.content is None
    first, second, last = parsed(stream_of(made, usage=False))
    deltas = [delta.choices[0].delta.tool_calls for delta in (first, second)]
    assert [[(call.index, call.id) for call in calls or ()] for calls in deltas] == [
        [(0, "call_mine")], [(1, "call_other")],
    ]  # fmt: skip
    assert (first.choices[0].delta.role, second.choices[0].delta.role) == ("assistant", None)
    assert last.choices[0].finish_reason == "tool_calls"


def test_an_approval_is_told_and_taken_back() -> None:
    decided = event_pb.RunEvent()
    decided.approval_decision.approval_id = "apr_1"
    first, second, *_ = stream_of([*events()[:1], approval("apr_1"), decided, *events("x")[1:]])
    deltas = [chunk["choices"][0]["delta"] for chunk in (first, second)]
    assert deltas == [{"role": "assistant", "content": None}, {}]
    (pending,) = first["headworks"]["pending_approvals"]
    assert (pending["approval_id"], pending["kind"], pending["call"]["name"]) == ("apr_1", "tool_call", "pay")
    assert second["headworks"] == {"run_id": RUN_ID, "pending_approvals": []}


def test_kinds_of_events_that_nobody_knows_yet_are_skipped() -> None:
    unknown = event_pb.RunEvent.FromString(b"\x9a\x06\x02\x08\x01")  # field 99
    assert unknown.WhichOneof("event") is None
    made = events("Cats sleep.")
    assert stream_of([made[0], unknown, *made[1:]])[0]["choices"][0]["delta"]["content"] == "Cats sleep."
    assert whole_of([made[0], unknown, *made[1:]])["choices"][0]["message"]["content"] == "Cats sleep."


def test_an_answer_that_a_guard_ends_has_no_calls() -> None:
    """A part of the calls that the model wanted made together must not be made."""
    (*_, end) = ended(run_pb2.FINISH_REASON_CONTENT_FILTER)
    (choice,) = whole_of([*events()[:1], tool_call("look", "{}"), end])["choices"]
    assert choice["finish_reason"] == "content_filter"
    assert "tool_calls" not in choice["message"]
