"""A run that is picked up after any of its events ends as the one that was never broken off."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from services.llm.catalogue.entry import EngineKind
from services.llm.chat import Form, Message, ResponseFormat, Role
from services.llm.generation import Ended, Finish, Generation, Piece, TokenCounts
from services.orchestrator.agents.loop.bare import BareModel
from services.orchestrator.agents.loop.transcript import fold
from services.orchestrator.domain.event import (
    ApprovalDecided,
    ApprovalRequested,
    Body,
    Citation,
    CitationAdded,
    Event,
    FinishReason,
    Span,
    Started,
    StepFinished,
    StepStarted,
    ToolCallBegun,
    ToolCallRequested,
    ToolResultReceived,
    UsageReported,
    VerdictGiven,
)
from services.orchestrator.domain.passage import Found, Passage
from services.orchestrator.domain.tool import Declaration, Reason, ToolCall, ToolPolicy
from services.orchestrator.runs.agent import Agent, RunInput, RunOutcome
from services.orchestrator.runs.transcript import SessionTranscript
from services.runtime.errors import InvalidArgument
from tests.fakes.agents import FakeRetriever
from tests.fakes.models import FakeJournal, FakeTool, Said, ScriptedGenerator, calls, catalogue, played, says, turns
from tests.unit.orchestrator.agents.making import ASK, Remembers, agent, results, text

PASSAGE = Passage("p", "d", "T", "u", "Cats sleep. Dogs run.", 0, 0.5, sentences=(Span(0, 11), Span(12, 21)))
FOUND = FakeRetriever(Found((PASSAGE,)))
QUOTE = Citation("d", "T", "u", "p", Span(0, 11), "Cats sleep.")


class Strict(FakeTool):
    """A tool whose arguments have a schema."""

    def __init__(self, name: str, schema: dict[str, Any]) -> None:
        super().__init__(name, idempotent=False)
        self._schema = schema

    @property
    def declaration(self) -> Declaration:
        return Declaration(self.name, "Does as it is told.", self._schema)


class Embeds:
    """The same vector for all texts but those with an x, which are far from it."""

    async def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.array([[0, 1] if "x" in text else [1, 0] for text in texts], np.float32)


def yes(request: ApprovalRequested) -> ApprovalDecided:
    return ApprovalDecided(request.approval_id, True, "ann")


def no(request: ApprovalRequested) -> ApprovalDecided:
    return ApprovalDecided(request.approval_id, False, "ann", "not now")


@dataclass
class Case:
    make: Callable[[], Agent]
    ask: RunInput = ASK
    decide: Callable[[ApprovalRequested], ApprovalDecided] | None = None


def tools(**given: ToolPolicy) -> dict[str, Any]:
    return {"policies": given}


def repaired(generation: Generation) -> list[Any]:
    return says('{"a": 1}') if "cannot be used" in generation.messages[-1].content else says("no", " json")


def regraded(generation: Generation) -> list[Any]:
    return says("Cats.") if "was checked" in generation.messages[-1].content else says("A fox.")


def summing(generation: Generation) -> list[Said]:
    return says("She is Ann." if "Sum up" in generation.messages[0].content else "You are Ann.")


def quoting() -> Agent:
    pieces: list[Said] = [
        Piece("Cats sleep.", QUOTE),
        Piece(" Dogs run.", QUOTE),
        Ended(Finish.STOP, TokenCounts(4, 2), 0.3),
    ]
    spec = "retrieval: {mode: always}\n"
    return agent(lambda _: pieces, spec, retriever=FOUND, engine=EngineKind.EXTRACTIVE)[0]


def unsure() -> Agent:
    pieces: list[Said] = [
        Piece("Cats sleep.", QUOTE),
        Piece(" Dogs run.", QUOTE),
        Ended(Finish.STOP, TokenCounts(4, 2), 0.3),
    ]
    spec = "retrieval: {mode: always}\napproval: {answer_below: 0.5}\n"
    return agent(lambda _: pieces, spec, retriever=FOUND, engine=EngineKind.EXTRACTIVE)[0]


def bare() -> Agent:
    models = catalogue(("small", ScriptedGenerator(turns(calls(("a", "{}"), ("b", "{}"), text="Two of them.")))))
    return BareModel(models.find("small"))


TWO = calls(("t", '{"n":1}'), ("t", '{"n":2}'), text="Let me see.")
GATED = {"t": ToolPolicy(approval=True)}
CASES = {
    "talk": Case(lambda: agent(turns(says("It ", "is ", "4.")))[0]),
    "tools": Case(lambda: agent(turns(TWO, calls(("t", "{}")), says("It is ", "4.")), "", FakeTool("t"))[0]),
    "bare": Case(bare, replace(ASK, tools=(Declaration("a", "", {}), Declaration("b", "", {})))),
    "rag": Case(lambda: agent(turns(says("Cats sleep [1", "]. Dogs run [1]", ".")), "retrieval: {mode: always}\n",
                              retriever=FOUND)[0]),
    "quoting": Case(quoting),
    "nothing found": Case(lambda: agent(lambda _: [Ended(Finish.NO_ANSWER, TokenCounts())],
                                        "retrieval: {mode: always}\n", engine=EngineKind.EXTRACTIVE)[0]),
    "required": Case(lambda: agent(turns(says("x")), "retrieval: {mode: always, required: true}\n")[0]),
    "approved call": Case(lambda: agent(turns(TWO, says("4")), "", FakeTool("t"), policies=GATED)[0], decide=yes),
    "refused call": Case(lambda: agent(turns(TWO, says("4")), "", FakeTool("t"), policies=GATED)[0], decide=no),
    "approved run": Case(lambda: agent(turns(says("4")), "approval: {run: true}\n")[0], decide=yes),
    "refused run": Case(lambda: agent(turns(says("4")), "approval: {run: true}\n")[0], decide=no),
    "unsure": Case(unsure, decide=yes),
    "unsure refused": Case(unsure, decide=no),
    "repair": Case(lambda: agent(repaired)[0], replace(ASK, response_format=ResponseFormat(Form.JSON_OBJECT))),
    "regrade": Case(lambda: agent(regraded, "retrieval: {mode: always}\ngraders: [grounded: {judge: embeddings}]\n",
                                  retriever=FOUND, embedder=Embeds())[0]),
    "uncertain": Case(lambda: agent(turns(says("A fox.")), "graders: [answers: {judge: embeddings}]\n",
                                    embedder=Embeds())[0]),
    "steps": Case(lambda: agent(lambda g: calls(("t", f'{{"n":{len(g.messages)}}}')) if g.tools else says("So far: 4"),
                                "limits: {steps: 2}\n", FakeTool("t"))[0]),
    "repetition": Case(lambda: agent(lambda g: calls(("t", "{}")) if g.tools else says("The same."),
                                     "limits: {repetitions: 2}\n", FakeTool("t"))[0]),
    "calls": Case(lambda: agent(lambda g: [*TWO] if g.tools else says("Once."), "limits: {calls: {t: 1}}\n",
                                FakeTool("t"))[0]),
    "trimmed": Case(lambda: agent(turns(calls(("t", '{"n":1}')), calls(("t", '{"n":2}')), says("It is 4.")), "",
                                  FakeTool("t", lambda _: "word " * 150), context_length=400)[0]),
    "callers": Case(lambda: agent(turns(calls(("t", "{}"), ("theirs", "{}"))), "", FakeTool("t"))[0],
                    replace(ASK, tools=(Declaration("theirs", "", {}),))),
}  # fmt: skip


def told(record: Sequence[Event], outcome: RunOutcome) -> dict[str, Any]:
    """What a run comes to: all but times and the order in which tools finish."""
    bodies = [event.body for event in record]
    state = fold(record)
    return {
        "text": state.text,
        "messages": [(one.role, one.content, [call.name for call in one.tool_calls]) for one in state.messages],
        "results": sorted((one.name, one.content) for one in state.results.values()),
        "calls": len(state.calls),
        "citations": [(body.citation, body.answer_span) for body in bodies if isinstance(body, CitationAdded)],
        "verdicts": [body for body in bodies if isinstance(body, VerdictGiven)],
        "steps": [(body.step, body.kind) for body in bodies if isinstance(body, StepStarted)],
        "finished": [(one.step, one.kind, one.text, one.finish) for one in bodies if isinstance(one, StepFinished)],
        "usage": [body for body in bodies if isinstance(body, UsageReported)][-1:],
        "approvals": [body.approval_id for body in bodies if isinstance(body, ApprovalRequested)],
        "outcome": (outcome.reason, outcome.limit),
    }  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_picked_up_after_any_event(case: Case) -> None:
    journal = FakeJournal(decide=case.decide)
    _, outcome = await played(case.make(), case.ask, journal)
    whole = journal.record
    for length in range(1, len(whole) + 1):
        again = FakeJournal(events=whole[:length], decide=case.decide)
        _, end = await played(case.make(), case.ask, again)
        assert told(again.record, end) == told(whole, outcome), f"after {whole[length - 1].body}"


@pytest.mark.parametrize("policies", [{}, GATED], ids=["free", "approved"])
async def test_a_call_is_made_once_wherever_the_process_dies(policies: dict[str, ToolPolicy]) -> None:
    """After any event: a call that has not begun is made, one that has is not made again."""
    script = turns(calls(("t", '{"n":1}'), ("t", '{"n":2}'), ("t", '{"n":3}')), says("done"))
    journal = FakeJournal(decide=yes)
    spec = "limits: {parallel_tools: 1}\n"
    await played(agent(script, spec, FakeTool("t", idempotent=False), policies=policies)[0], ASK, journal)
    for length in range(1, len(journal.record) + 1):
        events = journal.record[:length]
        begun = [event.body.call_id for event in events if isinstance(event.body, ToolCallBegun)]
        known = {event.body.result.call_id for event in events if isinstance(event.body, ToolResultReceived)}
        tool = FakeTool("t", idempotent=False)
        again = FakeJournal(events=events, decide=yes)
        got, _ = await played(agent(script, spec, tool, policies=policies)[0], ASK, again)
        made = {one.call_id: one.error_reason for one in results(got)}
        assert len(tool.called) == 3 - len(begun), f"after {events[-1].body}"
        assert made == {
            f"c{number}": Reason.INTERRUPTED if f"c{number}" in begun else None
            for number in (1, 2, 3)
            if f"c{number}" not in known
        }, f"after {events[-1].body}"


async def test_a_run_of_an_earlier_version_makes_no_call_twice() -> None:
    """Its record does not say which calls had begun."""
    script = turns(calls(("t", '{"n":1}'), ("t", '{"n":2}')), says("sorry"))
    journal = FakeJournal(events=[Event(1, Started("agent", "default", 1))])
    await played(agent(script, "", FakeTool("t", idempotent=False))[0], ASK, journal)
    old = [event for event in journal.record if not isinstance(event.body, ToolCallBegun)]
    first = next(n for n, event in enumerate(old) if isinstance(event.body, ToolResultReceived))
    again = FakeTool("t", idempotent=False)
    got, _ = await played(agent(script, "", again)[0], ASK, FakeJournal(events=old[: first + 1]))
    assert [(one.error_reason, again.called) for one in results(got)] == [(Reason.INTERRUPTED, [])]
    # Before its step had begun no call had been made.
    got, _ = await played(agent(script, "", again)[0], ASK, FakeJournal(events=old[: first - 1]))
    assert [one.error_reason for one in results(got)] == [None, None]


async def test_arguments_that_a_person_changed_are_those_of_the_call() -> None:
    """The tool gets them, the model reads them as its own, and a run that is picked up has them too."""

    def decide(request: ApprovalRequested) -> ApprovalDecided:
        return ApprovalDecided(request.approval_id, True, "ann", replacement='{"n": 5}')

    script = turns(calls(("t", '{"n":1}')), says("done"))
    journal = FakeJournal(decide=decide)
    await played(agent(script, "", FakeTool("t", idempotent=False), policies=GATED)[0], ASK, journal)
    decided = next(n for n, event in enumerate(journal.record) if isinstance(event.body, ApprovalDecided))
    for events in (journal.events, journal.record[: decided + 1]):
        tool = FakeTool("t", idempotent=False)
        made, model = agent(script, "", tool, policies=GATED)
        await played(made, ASK, FakeJournal(events=events, decide=decide))
        assert tool.called == [{"n": 5}]
        spoken = [call.arguments_json for message in model.asked[-1].messages for call in message.tool_calls]
        assert spoken == ['{"n": 5}']
    session = SessionTranscript()
    for event in journal.record:
        session.add(event.body)
    assert [call.arguments_json for message in session.messages() for call in message.tool_calls] == ['{"n": 5}']


def test_a_session_keeps_what_is_wanted_back_with_the_result_of_a_callers_tool() -> None:
    session, sealed = SessionTranscript(), '{"extra_content":{"google":{"thought_signature":"c2VhbGVk"}}}'
    for name, callers in (("own", False), ("theirs", True)):
        session.add(ToolCallRequested(ToolCall(name, name, "{}", sealed), 1, callers))
    kept = {call.name: call.beside for message in session.messages() for call in message.tool_calls}
    assert kept == {"own": "", "theirs": sealed}


SCHEMA = "output: {schema: {type: object, required: [a]}}\n"


@pytest.mark.parametrize(
    ("spec", "tool", "replacement", "fault"),
    [
        ("", "t", "not json", "not valid JSON"),
        ("", "t", "[1]", "JSON object"),
        ("", "t", '{"n": "one"}', "n"),
        ("approval: {run: true}\n", "", "something", "as it is"),
        (SCHEMA + "approval: {answer_below: 0.9}\n", "", "no json", "not JSON"),
        (SCHEMA + "approval: {answer_below: 0.9}\n", "", '{"b": 1}', "a"),
    ],
)
async def test_a_replacement_that_cannot_be_taken_is_refused(
    spec: str, tool: str, replacement: str, fault: str
) -> None:
    def decide(request: ApprovalRequested) -> ApprovalDecided:
        return ApprovalDecided(request.approval_id, True, "ann", replacement=replacement)

    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    tools = [Strict("t", schema)] if tool else []
    script = turns(calls(("t", '{"n":1}')), says("4")) if tool else lambda _: says('{"a": 1}')
    with pytest.raises(InvalidArgument, match=fault) as refused:
        await played(agent(script, spec, *tools, policies=GATED)[0], ASK, FakeJournal(decide=decide))
    assert refused.value.details["field"] == "replacement"
    assert all(not one.called for one in tools)


async def test_a_model_that_says_something_else_begins_again_openly() -> None:
    journal = FakeJournal()
    await played(agent(turns(says("It is", " four.")))[0], ASK, journal)
    got, _ = await played(agent(turns(says("It might", " be 4.")))[0], ASK, FakeJournal(events=journal.record[:3]))
    assert text(got) == "\n\n[The answer was interrupted and begins again.]\n\nIt might be 4."


async def test_waiting_is_not_working() -> None:
    """The time limit leaves out what a person took, also where that was before the process died."""
    script = turns(calls(("t", "{}")), says("done"))
    spec = "limits: {seconds: 60}\n"
    journal = FakeJournal(decide=yes)
    await played(agent(script, spec, FakeTool("t"), policies=GATED)[0], ASK, journal)
    shifted: list[Event] = []
    waited = False
    for event in journal.record:
        waited = waited or isinstance(event.body, ApprovalDecided)
        shifted.append(Event(event.sequence, event.body, event.time - (1 if waited else 3600)))
    cut = next(n for n, event in enumerate(shifted) if isinstance(event.body, ApprovalDecided)) + 1
    _, outcome = await played(
        agent(script, spec, FakeTool("t"), policies=GATED)[0], ASK, FakeJournal(events=shifted[:cut], decide=yes)
    )
    assert outcome.reason is FinishReason.STOP
    old = [Event(1, journal.record[0].body, journal.record[0].time - 3600), *journal.record[1:2]]
    _, outcome = await played(agent(script, spec, FakeTool("t"), policies=GATED)[0], ASK, FakeJournal(events=old))
    assert (outcome.reason, outcome.limit) == (FinishReason.LIMIT, "seconds")


def test_an_event_that_no_one_folds_changes_nothing() -> None:
    body: Body = UsageReported(1, 1)
    assert fold([Event(1, body)]).reported == body
    assert Message(Role.USER, "x").content == "x"


async def test_a_session_may_be_summed_up_again() -> None:
    """The summary is the memory's to keep; what counts here is that the steps follow one another."""
    ask = replace(ASK, session_id="s1")

    def make() -> Agent:
        return agent(summing, "memory: {window_tokens: 100}\n", memory=Remembers())[0]

    journal = FakeJournal()
    await played(make(), ask, journal)
    for length in range(1, len(journal.record) + 1):
        again = FakeJournal(events=journal.record[:length])
        _, outcome = await played(make(), ask, again)
        bodies = [event.body for event in again.record]
        begun = [body.step for body in bodies if isinstance(body, StepStarted)]
        ended = [body.step for body in bodies if isinstance(body, StepFinished)]
        assert begun == ended == list(range(1, len(begun) + 1))
        assert (fold(again.record).text, outcome.reason) == ("You are Ann.", FinishReason.STOP)
