"""The decision log of a run, and its events as lines."""

import io
import json

import pytest
from headworks.orchestrator.v1 import run_event_pb2 as pb
from headworks.orchestrator.v1 import run_pb2, tool_pb2
from rich.console import Console

from cli.runs import wording
from cli.runs.explain import explain_events, print_entries
from cli.runs.watch import JsonWatcher, TextWatcher, line
from tests.fakes.agent_run import CALL, PAY, RUN_ID, ms, numbered, until_approval, whole_run

WHOLE = f"""\
   0.000  {RUN_ID} of the agent analyst (version 3) over the collection docs in the session s1 began
   0.500  retrieved 1 passage, best first
            0.500  Bees (p1)
   1.500  the model called calculator with {{"expression": "17*23"}}
            why: “I must multiply.”
            it returned after 3 ms: 391
   2.000  step 1 asked the model tiny in 420 ms, 410 ms of it the model's: 40 tokens read (16 of them cached), 7 \
written, which cost 0.000054; it stopped: to call tools
   3.000  asked for approval apr_1 of the call of pay with {{"to": "Ann"}}, because it pays
   3.500  dev refused apr_1: too much
   5.500  the grader “grounded” faulted the answer (attempt 2), score 0.25: one is not
            faulted: “It is 391.”
   6.500  the answer: “It is 391.”
            from Bees: “A worker lives six weeks.”
   6.500  it ended: the agent's limit “steps” was reached; the answer is the best so far
            in all: 40 tokens read (16 of them cached), 7 written, which cost 0.000054
            time by hop: llm 410 ms"""


def test_a_whole_run_in_words() -> None:
    out = Console(file=io.StringIO(), soft_wrap=True)
    print_entries(out, explain_events(whole_run()))
    assert out.file.getvalue() == f"{WHOLE}\n"  # type: ignore[attr-defined]


def test_a_run_that_waits_says_for_what() -> None:
    last = explain_events(until_approval())[-1]
    assert (last.at, last.what) == (3.0, "it waits for a person")
    (detail,) = last.details
    assert detail.endswith(f"headworks run decide {RUN_ID} apr_1 --yes (or --no)")


def test_a_run_that_is_under_way() -> None:
    begun = numbered([*until_approval()[:3]])
    assert [entry.what for entry in explain_events(begun)[-2:]] == [
        "step 1 began: asked the model tiny", "it is still under way",
    ]  # fmt: skip
    assert explain_events([])[0].what == "nothing has happened yet"


def ended(reason: run_pb2.FinishReason.ValueType, **fields: str) -> list[pb.RunEvent]:
    return numbered([until_approval()[0], pb.RunEvent(finished=pb.RunFinished(reason=reason, **fields))])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (run_pb2.FINISH_REASON_STOP, "it answered"),
        (run_pb2.FINISH_REASON_NO_ANSWER, "said so"),
        (run_pb2.FINISH_REASON_CANCELLED, "cancelled"),
        (run_pb2.FINISH_REASON_DEADLINE_EXCEEDED, "deadline"),
        (run_pb2.FINISH_REASON_ERROR, "an error, BOOM: it broke"),
        (run_pb2.FINISH_REASON_LENGTH, "largest number of tokens"),
        (run_pb2.FINISH_REASON_TOOL_CALLS, "tools of the caller's"),
        (run_pb2.FINISH_REASON_REJECTED, "a person refused"),
    ],
)
def test_why_it_ended(reason: run_pb2.FinishReason.ValueType, words: str) -> None:
    told = explain_events(ended(reason, error_reason="BOOM", error_message="it broke"))[-1].what
    assert told.startswith("it ended: ")
    assert words in told


def test_every_reason_has_words() -> None:
    special = {run_pb2.FINISH_REASON_UNSPECIFIED, run_pb2.FINISH_REASON_ERROR, run_pb2.FINISH_REASON_LIMIT}
    assert set(wording.ENDS) == set(run_pb2.FinishReason.values()) - special
    assert set(wording.STEPS) == set(pb.StepKind.values()) - {pb.STEP_KIND_UNSPECIFIED}


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (pb.ToolResultReceived(name="t", content="no", is_error=True, error_reason="TIMEOUT", duration=ms(2500),
                               attempts=3), "failed (TIMEOUT) after 2.50 s, 3 attempts: no"),
        (pb.ToolResultReceived(name="t", content="x" * 9000, truncated=True), "returned after 0 ms, cut: xxx"),
    ],
)  # fmt: skip
def test_results(event: pb.ToolResultReceived, words: str) -> None:
    assert wording.result(event).startswith(words)
    assert len(wording.result(event)) < 700


@pytest.mark.parametrize(
    ("decided", "words"),
    [
        (pb.ApprovalDecided(approval_id="a", approved=True, decided_by="dev"), "dev approved a"),
        (pb.ApprovalDecided(approval_id="a", decided_by="dev", comment="no"), "dev refused a: no"),
        (pb.ApprovalDecided(approval_id="a"), "nobody decided a in time, so the answer was no"),
        (pb.ApprovalDecided(approval_id="a", approved=True, decided_by="dev", replacement="4"),
         "dev approved a; instead: “4”"),
    ],
)  # fmt: skip
def test_decisions(decided: pb.ApprovalDecided, words: str) -> None:
    assert wording.decision(decided) == words


@pytest.mark.parametrize(
    ("requested", "words"),
    [
        (pb.ApprovalRequested(approval_id="a", kind=pb.ApprovalRequested.KIND_TOOL_CALL, call=PAY),
         'asked for approval a of the call of pay with {"to": "Ann"}'),
        (pb.ApprovalRequested(approval_id="a", kind=pb.ApprovalRequested.KIND_RUN, reason="it is Monday"),
         "asked for approval a of the run as a whole, because it is Monday"),
        (pb.ApprovalRequested(approval_id="a", kind=pb.ApprovalRequested.KIND_ANSWER, draft="4?"),
         "asked for approval a of the answer “4?”"),
    ],
)  # fmt: skip
def test_approvals(requested: pb.ApprovalRequested, words: str) -> None:
    assert wording.approval(requested) == words


def test_a_call_of_the_caller_s_own_tool() -> None:
    called = pb.ToolCallRequested(call=tool_pb2.ToolCall(id="x", name="theirs"), callers=True, step=1)
    entry = explain_events(numbered([until_approval()[0], pb.RunEvent(tool_call=called)]))[1]
    assert (entry.what, entry.details) == ("the model called theirs with {}, a tool of the caller's", ())


def test_unknown_kinds_are_left_out() -> None:
    unknown = pb.RunEvent.FromString(b"\x9a\x06\x02\x08\x01")  # field 99
    assert len(explain_events(numbered([until_approval()[0], unknown]))) == 2
    assert line(unknown) == ("unknown", "")


def test_every_event_is_a_line() -> None:
    kinds = [line(event)[0] for event in whole_run()]
    assert kinds == [
        "started", "passages", "step", "tool call", "step done", "tool result", "approval", "decision", "text", "text",
        "citation", "verdict", "usage", "finished",
    ]  # fmt: skip
    assert line(whole_run()[3])[1] == f"{CALL.name} {CALL.arguments}"


def test_text_flows_on_one_line() -> None:
    file = io.StringIO()
    out = Console(width=200, file=file)
    with TextWatcher(out) as watcher:
        for event in whole_run():
            watcher.show(event)
    text = file.getvalue()
    assert "   9  text         It is 391.\n  11  citation" in text
    assert f"headworks run decide {RUN_ID} apr_1 --yes" in text


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with JsonWatcher() as watcher:
        for event in whole_run():
            watcher.show(event)
    told = [json.loads(one) for one in capsys.readouterr().out.splitlines()]
    assert [int(one["sequence"]) for one in told] == list(range(1, 15))
    assert told[3]["tool_call"]["call"]["name"] == "calculator"


@pytest.mark.parametrize(
    ("judged", "told"),
    [
        (pb.RouteDifficulty(value=0.071, by="classifier"), "difficulty 0.07 by the classifier"),
        (
            pb.RouteDifficulty(value=0.2, by="classifier", abstained="far"),
            "difficulty 0.20 by the classifier, not gone by (far), so the large one was preferred",
        ),
        (
            pb.RouteDifficulty(by="heuristic", explored=True),
            "difficulty 0.00 by the heuristic, the other one preferred to explore",
        ),
        (
            pb.RouteDifficulty(value=1, by="heuristic", abstained="no_text"),
            "nothing to judge by, so the large one was preferred",
        ),
    ],
)
def test_how_hard_a_question_was_taken_to_be_is_told(judged: pb.RouteDifficulty, told: str) -> None:
    routed = pb.RunEvent(model_routed=pb.ModelRouted(route="thrifty", target="mini", difficulty=judged))
    event = explain_events(numbered([until_approval()[0], routed]))[1]
    assert event.what == f"the route thrifty led to mini; {told}"


def test_what_a_route_has_decided_is_told() -> None:
    failed = [pb.RouteAttempt(target="east", fault="overload", duration=ms(40))]
    routed = pb.ModelRouted(route="steady", target="west", failed=failed, hedged=True)
    events = numbered([until_approval()[0], pb.RunEvent(model_routed=routed)])
    told = "the route steady led to west; east did not (overload, 40 ms); another was asked as well"
    assert explain_events(events)[1].what == told
    assert told in line(events[1])
