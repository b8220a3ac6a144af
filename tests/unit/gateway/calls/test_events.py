"""A run's events under guards."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from headworks.orchestrator.v1 import run_event_pb2 as pb
from headworks.orchestrator.v1 import run_pb2
from headworks.orchestrator.v1.tool_pb2 import ToolCall
from headworks.type.v1.citation_pb2 import Citation
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.calls.pipeline import screen_of
from gateway.calls.run_answer import HeldEvents
from gateway.guard.compile import compile_policy
from gateway.guard.pipeline import GuardPipeline
from gateway.guard.policy import parse
from gateway.guard.terms.library import Library
from gateway.guard.vault import Vault
from tests.fakes.calls import WordScreen, screened

REDACTS = "guards: [{guard: pii, stage: output, action: redact}]"
BLOCKS = "guards: [{guard: terms, stage: output, action: block, terms: [forbidden]}]"


def screen(policy: str) -> HeldEvents:
    made = screen_of(GuardPipeline(compile_policy(parse(policy), Library(None)), None), Vault(), "")
    assert made is not None
    return HeldEvents(made)


def text(piece: str) -> pb.RunEvent:
    return pb.RunEvent(text=pb.TextDelta(text=piece))


def cited(start: int, end: int) -> pb.RunEvent:
    event = pb.RunEvent(citation=pb.CitationAdded())
    event.citation.answer_span.start, event.citation.answer_span.end = start, end
    return event


def finished() -> pb.RunEvent:
    return pb.RunEvent(finished=pb.RunFinished(reason=run_pb2.FINISH_REASON_STOP))


def said(events: Sequence[pb.RunEvent]) -> str:
    return "".join(event.text.text for event in events)


def test_events_wait_for_the_text_before_them() -> None:
    one = screen(REDACTS)
    assert one.take_events([text("Write to ann@exam")]) == []
    step = pb.RunEvent(step_started=pb.StepStarted(step=2))
    assert one.take_events([step]) == []
    released = one.take_events([text("ple.org now, please ")])
    assert [event.WhichOneof("event") for event in released[:2]] == ["text", "step_started"]
    assert said([*released, *one.take_events([finished()])]) == "Write to <EMAIL> now, please "


def test_what_is_thought_is_screened_apart_from_the_answer() -> None:
    one = screen(REDACTS)
    thought = pb.RunEvent(reasoning=pb.ReasoningDelta(text="I write to ann@example.org."))
    released = [*one.take_events([thought, text("Done.")]), *one.take_events([finished()])]
    assert [event.WhichOneof("event") for event in released] == ["reasoning", "text", "finished"]
    assert (released[0].reasoning.text, said(released)) == ("I write to <EMAIL>.", "Done.")


def test_a_citation_keeps_to_its_words() -> None:
    one = screen(REDACTS)
    answer = "To ann@example.org: the bridge is old."
    start = answer.index("the bridge")
    events = one.take_events([text(answer), cited(start, len(answer)), finished()])
    span = events[1].citation.answer_span
    assert said(events)[span.start : span.end] == "the bridge is old."


def test_nothing_follows_a_block() -> None:
    one = screen(BLOCKS)
    events = one.take_events([text("It is "), text("forbidden"), text(" to say more"), finished()])
    assert said(events).strip() == "It is"
    assert one.blocked is not None
    assert one.take_events([text("more")]) == []


@pytest.mark.parametrize(
    "event",
    [
        pb.RunEvent(step_finished=pb.StepFinished(text="mail ann@example.org")),
        pb.RunEvent(tool_result=pb.ToolResultReceived(content="mail ann@example.org")),
        pb.RunEvent(approval_request=pb.ApprovalRequested(draft="mail ann@example.org")),
        pb.RunEvent(approval_request=pb.ApprovalRequested(call=ToolCall(arguments='{"to": "ann@example.org"}'))),
        pb.RunEvent(approval_request=pb.ApprovalRequested(call=ToolCall(arguments='{"to": "ann\\u0040example.org"}'))),
        pb.RunEvent(approval_request=pb.ApprovalRequested(call=ToolCall(name="mail ann@example.org"))),
        pb.RunEvent(approval_request=pb.ApprovalRequested(reason="mail ann@example.org")),
        pb.RunEvent(approval_decision=pb.ApprovalDecided(comment="mail ann@example.org")),
        pb.RunEvent(approval_decision=pb.ApprovalDecided(replacement="mail ann@example.org")),
        pb.RunEvent(verdict=pb.VerdictGiven(sentences=["mail ann@example.org"])),
        pb.RunEvent(verdict=pb.VerdictGiven(reason="mail ann@example.org")),
        pb.RunEvent(citation=pb.CitationAdded(citation=Citation(quote="mail ann@example.org"))),
        pb.RunEvent(citation=pb.CitationAdded(citation=Citation(title="mail ann@example.org"))),
        pb.RunEvent(passages=pb.PassagesRetrieved(passages=[pb.RetrievedPassage(title="mail ann@example.org")])),
        pb.RunEvent(finished=pb.RunFinished(error_message="mail ann@example.org")),
        pb.RunEvent(tool_call=pb.ToolCallRequested(call=ToolCall(name="mail ann@example.org"))),
        pb.RunEvent(tool_call=pb.ToolCallRequested(call=ToolCall(name="mail ann@example.org"), callers=True)),
    ],
    ids=lambda event: str(event.WhichOneof("event")),
)
def test_texts_beside_the_answer_are_screened_too(event: pb.RunEvent) -> None:
    one = screen(REDACTS)
    released = one.take_events([event])
    if not event.HasField("finished"):
        released += one.take_events([finished()])
    (shown, *_) = released
    assert "ann" not in str(shown)
    assert "EMAIL" in str(shown)


def test_names_of_things_stay_as_they_are() -> None:
    """They are no text, and whoever has them looks things up by them."""
    ids = pb.RunEvent(run_id="4111111111111111", tool_result=pb.ToolResultReceived(call_id="4111111111111111"))
    (shown, _) = screen(REDACTS).take_events([ids, finished()])
    assert (shown.run_id, shown.tool_result.call_id) == ("4111111111111111", "4111111111111111")


def tool_call(arguments: str, *, callers: bool) -> pb.RunEvent:
    event = pb.RunEvent(tool_call=pb.ToolCallRequested(callers=callers))
    event.tool_call.call.name, event.tool_call.call.arguments = "send", arguments
    return event


STOPS = "guards: [{guard: pii, stage: output, action: block}]"


@pytest.mark.parametrize("together", [True, False])
def test_a_call_that_is_blocked_is_not_handed_over(together: bool) -> None:
    """Nor anything after it."""
    one = screen(STOPS)
    sent = [text("Gladly. "), tool_call('{"a": 1}', callers=True), tool_call('{"to": "ann@example.org"}', callers=True),
            tool_call("{}", callers=True), finished()]  # fmt: skip
    shown = one.take_events(sent) if together else [event for each in sent for event in one.take_events([each])]
    assert [event.tool_call.call.arguments for event in shown if event.HasField("tool_call")] == []
    assert one.blocked is not None
    assert one.blocked.category == "EMAIL"
    assert [found.category for found in one.findings] == ["EMAIL"]
    assert not [event for event in shown if event.HasField("finished")]


def test_a_call_of_the_agents_own_is_only_not_shown() -> None:
    one = screen(STOPS)
    (shown, _) = one.take_events([tool_call('{"to": "ann@example.org"}', callers=False), finished()])
    assert shown.tool_call.call.arguments == ""
    assert one.blocked is None


def test_what_a_call_hands_over_is_redacted() -> None:
    one = screen(REDACTS)
    (shown, _) = one.take_events([tool_call('{"to": "ann@example.org"}', callers=True), finished()])
    assert shown.tool_call.call.arguments == '{"to": "<EMAIL>"}'


WORDS = st.lists(st.sampled_from(["a", "secret", "bb", "secrets", "evil", "é"]), max_size=9)


@settings(deadline=None)
@given(WORDS, st.lists(st.integers(0, 99), max_size=9), st.lists(st.integers(1, 4), max_size=9))
def test_what_an_event_says_does_not_depend_on_what_comes_with_it(
    words: list[str], cuts: list[int], batches: list[int]
) -> None:
    """A reader who comes back gets the events in other batches."""
    answer = " ".join(words)
    places = [0, *sorted(cut % (len(answer) + 1) for cut in cuts), len(answer)]

    def sent() -> list[pb.RunEvent]:
        pieces = [(text(answer[start:end]), cited(start, end)) for start, end in pairwise(places)]
        return [event for pair in pieces for event in pair] + [finished()]

    one = HeldEvents(WordScreen)
    alone = [event for each in sent() for event in one.take_events([each])]
    other, events, together = HeldEvents(WordScreen), sent(), []
    for size in [*batches, len(events)]:
        together += other.take_events(events[:size])
        del events[:size]
    assert together == alone
    assert said(together) == screened(answer)
    assert (other.blocked is not None) == (one.blocked is not None) == ("evil" in words)


@pytest.mark.parametrize(
    ("beside", "shown"),
    [
        ({"extra_content": {"google": {"thought_signature": "c2VhbGVk" * 20}}}, None),
        ({"extra_content": {"note": "mail ann@example.org"}}, {"extra_content": {"note": "mail <EMAIL>"}}),
        ({"extra_content": {"ann@example.org": 1}}, {"extra_content": {"<EMAIL>": 1}}),
        ({"extra_content": {"a@example.org": "b@example.org"}}, {"extra_content": {"<EMAIL>": "<EMAIL>"}}),
        ({"extra_content": {"file_id": "f"}}, {}),  # which nobody can read
    ],
    ids=str,
)
def test_what_stands_beside_a_call_is_screened_with_it(beside: Any, shown: Any) -> None:
    one = screen(REDACTS)
    call = ToolCall(id="c", name="add", arguments="{}", beside=json.dumps(beside))
    (event, _) = one.take_events([pb.RunEvent(tool_call=pb.ToolCallRequested(call=call, callers=True)), finished()])
    made = event.tool_call.call
    assert (made.name, made.arguments) == ("add", "{}")
    assert json.loads(made.beside or "{}") == (beside if shown is None else shown)


def test_a_call_goes_nowhere_beside_which_there_is_what_is_blocked() -> None:
    one = screen(BLOCKS)
    call = ToolCall(name="add", arguments="{}", beside='{"extra_content": {"a": ["forbidden"]}}')
    released = one.take_events([pb.RunEvent(tool_call=pb.ToolCallRequested(call=call, callers=True)), finished()])
    assert one.blocked is not None
    assert not any(event.HasField("tool_call") for event in released)
