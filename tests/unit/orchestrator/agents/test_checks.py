"""What happens to an answer before it is said: its form, its graders, a person's approval."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import orjson
import pytest
from prometheus_client import REGISTRY

from services.llm.catalogue.entry import EngineKind
from services.llm.chat import Form, Message, ResponseFormat, Role
from services.llm.errors import ContextTooLong
from services.llm.generation import Ended, Finish, Generation, Piece, TokenCounts
from services.orchestrator.agents.loop.finalize import REJECTED_ANSWER, REJECTED_RUN
from services.orchestrator.agents.loop.graders.grader import GradedAnswer
from services.orchestrator.agents.loop.graders.similar import SimilarToEvidence, SimilarToQuestion
from services.orchestrator.agents.loop.prompt import declined
from services.orchestrator.agents.specs.errors import ModelUnavailable, OutputInvalid
from services.orchestrator.agents.specs.structured import SchemaRefused
from services.orchestrator.domain.event import (
    ApprovalDecided,
    ApprovalKind,
    ApprovalRequested,
    Body,
    CitationAdded,
    FinishReason,
    StepFinished,
    StepKind,
    StepStarted,
    TextDelta,
    UsageReported,
    VerdictGiven,
)
from services.orchestrator.domain.passage import Found, Passage
from services.orchestrator.domain.tool import Reason, ToolPolicy
from services.runtime.errors import DomainError, InvalidArgument, Unavailable
from tests.fakes.agents import FakeRetriever
from tests.fakes.models import FakeJournal, FakeTool, Said, calls, played, says, turns
from tests.fixtures.clock import DrivenClock
from tests.unit.orchestrator.agents.making import ASK, agent, kinds, results, text

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
FORM = ResponseFormat(Form.JSON_SCHEMA, "facts", SCHEMA)
CATS = FakeRetriever(Found((Passage("p", "d", "T", "u", "Cats sleep. Dogs run.", 0, 0.5),)))


def drafts(*answers: Sequence[Said]) -> object:
    """The n-th answer by how often the model was told to write it again."""

    def answer(generation: Generation) -> Sequence[Said]:
        tries = sum(message.role is Role.ASSISTANT for message in generation.messages)
        return answers[min(tries, len(answers) - 1)]

    return answer


def counted(attempt: int, valid: bool) -> float:
    labels = {"attempt": str(attempt), "valid": str(valid).lower()}
    return REGISTRY.get_sample_value("headworks_structured_answers_total", labels) or 0.0


def steps(bodies: Sequence[Body]) -> list[StepKind]:
    return [body.kind for body in bodies if isinstance(body, StepStarted)]


async def test_an_answer_of_the_right_form_is_said_at_once() -> None:
    before = counted(1, True)
    got, outcome = await played(agent(drafts(says('{"a"', ": 1}")))[0], replace(ASK, response_format=FORM))  # type: ignore[arg-type]
    assert (text(got), outcome.reason, steps(got)) == ('{"a": 1}', FinishReason.STOP, [StepKind.GENERATE])
    assert counted(1, True) == before + 1


async def test_a_wrong_form_is_mended_once() -> None:
    helper, generator = agent(drafts(says('{"a": "x"}'), says('{"a": 2}')))  # type: ignore[arg-type]
    before = counted(2, True)
    got, outcome = await played(helper, replace(ASK, response_format=FORM))
    assert (text(got), steps(got)) == ('{"a": 2}', [StepKind.GENERATE, StepKind.REPAIR])
    assert outcome.reason is FinishReason.STOP
    *_, draft, told = generator.asked[1].messages
    assert draft == Message(Role.ASSISTANT, '{"a": "x"}')
    assert "$.a: 'x' is not of type 'integer'" in told.content
    assert generator.asked[1].response_format == FORM
    assert counted(2, True) == before + 1


@pytest.mark.parametrize(("spec", "asked"), [("", 2), ("output: {repair: 0}\n", 1)])
async def test_a_form_that_stays_wrong_is_an_error(spec: str, asked: int) -> None:
    helper, generator = agent(drafts(says("no json")), spec)  # type: ignore[arg-type]
    with pytest.raises(OutputInvalid, match="it is not JSON"):
        await played(helper, replace(ASK, response_format=FORM))
    assert len(generator.asked) == asked


@pytest.mark.parametrize(
    ("finish", "reason"),
    [(Finish.REFUSAL, FinishReason.STOP), (Finish.CONTENT_FILTER, FinishReason.CONTENT_FILTER)],
)
@pytest.mark.parametrize("form", [FORM, None])
async def test_a_refusal_is_not_mended(finish: Finish, reason: FinishReason, form: ResponseFormat | None) -> None:
    refuses = finish is Finish.REFUSAL
    said = [Piece("I'm ", refusal=refuses), Piece("sorry.", refusal=refuses), Ended(finish, TokenCounts(3, 2))]
    helper, generator = agent(drafts(said))  # type: ignore[arg-type]
    got, outcome = await played(helper, replace(ASK, response_format=form))
    assert (text(got), outcome.reason, len(generator.asked)) == ("I'm sorry.", reason, 1)
    assert {body.refusal for body in got if isinstance(body, TextDelta)} == {refuses}


async def test_an_answer_that_was_cut_off_ends_as_such_and_is_not_mended() -> None:
    helper, generator = agent(drafts(says('{"a"', finish=Finish.LENGTH)))  # type: ignore[arg-type]
    got, outcome = await played(helper, replace(ASK, response_format=FORM))
    assert (text(got), outcome.reason) == ('{"a"', FinishReason.LENGTH)
    assert len(generator.asked) == 1


async def test_the_agents_own_form() -> None:
    spec = "output: {name: facts, schema: {type: object, required: [a]}}\n"
    helper, generator = agent(drafts(says('{"a": 1}')), spec)  # type: ignore[arg-type]
    got, _ = await played(helper, ASK)
    assert text(got) == '{"a": 1}'
    own = ResponseFormat(Form.JSON_SCHEMA, "facts", {"type": "object", "required": ["a"]})
    assert generator.asked[0].response_format == own
    await played(helper, replace(ASK, response_format=FORM))
    assert generator.asked[1].response_format == FORM


async def test_with_tools_the_form_is_asked_for_after_them() -> None:
    """A grammar would keep the model from calling tools."""
    helper, generator = agent(turns(calls(("t", "{}")), says('{"a": 1}')), "", FakeTool("t"))
    got, _ = await played(helper, replace(ASK, response_format=FORM))
    assert [generation.response_format.form for generation in generator.asked] == [Form.TEXT, Form.TEXT]
    assert text(got) == '{"a": 1}'


@pytest.mark.parametrize("schema", [{"type": "thing"}, {"properties": 3}, {"$ref": 7}])
async def test_a_schema_that_is_none(schema: dict[str, object]) -> None:
    helper, generator = agent(drafts(says("x")))  # type: ignore[arg-type]
    with pytest.raises(SchemaRefused):
        await played(helper, replace(ASK, response_format=ResponseFormat(Form.JSON_SCHEMA, "x", schema)))
    assert generator.asked == []


class Embeds:
    """Texts about the same animal are near to each other."""

    async def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        animals = ("cats", "dogs", "fox")
        rows = [[float(animal in text.lower()) for animal in animals] + [0.01] for text in texts]
        made = np.array(rows, np.float32)
        unit: npt.NDArray[np.float32] = made / np.linalg.norm(made, axis=1, keepdims=True)
        return unit


GROUNDED = "retrieval: {mode: always}\ngraders: [grounded: {judge: embeddings}]\n"


async def test_a_grounded_answer_passes() -> None:
    helper, _ = agent(drafts(says("Cats sleep [1].")), GROUNDED, retriever=CATS, embedder=Embeds())  # type: ignore[arg-type]
    got, outcome = await played(helper, ASK)
    assert kinds(got)[3:] == [
        "StepStarted", "StepFinished", "UsageReported", "StepStarted", "VerdictGiven", "StepFinished",
        "TextDelta", "CitationAdded",
    ]  # fmt: skip
    (verdict,) = [body for body in got if isinstance(body, VerdictGiven)]
    assert (verdict.grader, verdict.passed, verdict.attempt) == ("grounded", True, 1)
    assert (text(got), outcome.reason) == ("Cats sleep [1].", FinishReason.STOP)


async def test_an_answer_that_fails_is_written_again_once() -> None:
    helper, generator = agent(
        drafts(says("A fox jumps. Cats sleep."), says("Cats sleep.")),  # type: ignore[arg-type]
        GROUNDED, retriever=CATS, embedder=Embeds(),
    )  # fmt: skip
    got, _ = await played(helper, ASK)
    assert steps(got) == [
        StepKind.RETRIEVE, StepKind.GENERATE, StepKind.GRADE, StepKind.REPAIR, StepKind.GRADE,
    ]  # fmt: skip
    verdicts = [body for body in got if isinstance(body, VerdictGiven)]
    assert [(one.passed, one.attempt, one.sentences) for one in verdicts] == [
        (False, 1, ("A fox jumps.",)), (True, 2, ()),
    ]  # fmt: skip
    assert "“A fox jumps.”" in generator.asked[1].messages[-1].content
    assert text(got) == "Cats sleep."


async def test_an_answer_that_fails_twice_says_what_is_uncertain() -> None:
    helper, generator = agent(drafts(says("A fox jumps.")), GROUNDED, retriever=CATS, embedder=Embeds())  # type: ignore[arg-type]
    got, outcome = await played(helper, ASK)
    assert len(generator.asked) == 2
    assert text(got) == ("A fox jumps.\n\nThis answer is not certain: the sources do not support: “A fox jumps.”.")
    assert outcome.reason is FinishReason.STOP


async def test_without_sources_nothing_is_grounded() -> None:
    helper, _ = agent(drafts(says("Cats sleep.")), "graders: [grounded: {judge: embeddings}]\n", embedder=Embeds())  # type: ignore[arg-type]
    got, _ = await played(helper, ASK)
    assert text(got).endswith("there is nothing that the answer could rest on.")


async def test_what_tools_gave_is_a_source() -> None:
    tool = FakeTool("t", lambda _: "Dogs run.")
    helper, _ = agent(turns(calls(("t", "{}")), says("Dogs run fast.")), GROUNDED, tool, retriever=CATS,
                      embedder=Embeds())  # fmt: skip
    got, _ = await played(helper, ASK)
    assert text(got) == "Dogs run fast."


async def test_a_model_may_judge() -> None:
    def answer(generation: Generation) -> Sequence[Said]:
        system = generation.messages[0].content
        if "supported by sources" in system:
            assert "Cats sleep. Dogs run." in generation.messages[1].content
            return says('{"unsupported": [2, 99], "score": 0.5}', tokens=TokenCounts(100, 10))
        if "answers a question" in system:
            return says('{"score": 0.9, "reason": "It does."}', tokens=TokenCounts(50, 10))
        return says("Cats sleep. Foxes fly.")

    helper, _ = agent(answer, "retrieval: {mode: always}\ngraders: [grounded, answers]\n", retriever=CATS)
    got, _ = await played(helper, ASK)
    verdicts = [body for body in got if isinstance(body, VerdictGiven)]
    assert [(one.grader, one.passed, one.score, one.attempt) for one in verdicts] == [
        ("grounded", False, 0.5, 1), ("answers", True, 0.9, 1), ("grounded", False, 0.5, 2), ("answers", True, 0.9, 2),
    ]  # fmt: skip
    assert verdicts[0].sentences == ("Foxes fly.",)
    grade = next(body for body in got if isinstance(body, StepFinished) and body.kind is StepKind.GRADE)
    assert grade.usage == UsageReported(150, 20, 0, 190)
    assert text(got).endswith("This answer is not certain: the sources do not support: “Foxes fly.”.")


@pytest.mark.parametrize(
    "said",
    [
        "I think so", "[1]", '{"score": 1}', '{"unsupported": "all", "score": 1}', "",
        '{"unsupported": [], "score": 85}',
        '{"unsupported": [], "score": true}', '{"unsupported": []}', '{"unsupported": [], "score": "high"}',
    ],
)  # fmt: skip
async def test_a_judge_that_does_not_judge_is_neither_yes_nor_no(said: str) -> None:
    def answer(generation: Generation) -> Sequence[Said]:
        return says(said) if "supported by sources" in generation.messages[0].content else says("Cats sleep.")

    helper, generator = agent(answer, "retrieval: {mode: always}\ngraders: [grounded]\n", retriever=CATS)
    got, outcome = await played(helper, ASK)
    assert text(got) == "Cats sleep.\n\nThis answer was not checked in full: the judge gave no verdict."
    assert StepKind.REPAIR not in steps(got)
    assert len(generator.asked) == 2, "one answer, one judgement"
    (verdict,) = [body for body in got if isinstance(body, VerdictGiven)]
    assert (verdict.undecided, verdict.passed, outcome.reason) == (True, False, FinishReason.STOP)


@pytest.mark.parametrize("error", [Unavailable("gone"), ContextTooLong("too long"), InvalidArgument("no", field="x")])
async def test_a_judge_that_cannot_be_asked_ends_no_run(error: DomainError) -> None:
    def answer(generation: Generation) -> Sequence[Said]:
        if "answers a question" in generation.messages[0].content:
            raise error
        return says("Cats sleep.")

    helper, generator = agent(answer, "graders: [answers]\n")
    got, outcome = await played(helper, ASK)
    assert error.reason in text(got)
    assert "not checked" in text(got)
    assert (len(generator.asked), outcome.reason) == (2, FinishReason.STOP)


async def test_no_verdict_hides_no_fault() -> None:
    def answer(generation: Generation) -> Sequence[Said]:
        system = generation.messages[0].content
        if "supported by sources" in system:
            return says('{"unsupported": [1], "score": 0.1}')
        return says("?") if "answers a question" in system else says("Foxes fly.")

    helper, _ = agent(answer, "retrieval: {mode: always}\ngraders: [grounded, answers]\n", retriever=CATS)
    got, _ = await played(helper, ASK)
    assert StepKind.REPAIR in steps(got)
    assert "This answer is not certain: the sources do not support: “Foxes fly.”." in text(got)
    assert text(got).endswith("This answer was not checked in full: the judge gave no verdict.")


async def test_courtesy_is_not_judged() -> None:
    said = "Sure! Here is what I found: Cats sleep [1]. I hope this helps! Would you like to know more?"
    helper, generator = agent(drafts(says(said)), GROUNDED, retriever=CATS, embedder=Embeds())  # type: ignore[arg-type]
    got, _ = await played(helper, ASK)
    assert len(generator.asked) == 1
    assert text(got) == said


FENCED = [
    '```json\n{"a": 1}\n```', '```\n{"a": 1}\n```', '```JSON\n{"a":\n 1}\n```\n', '\n  ```json\n  {"a": 1}\n  ```  ',
    'Here it is:\n\n```json\n{"a": 1}\n```\n\nI hope this helps!', '~~~json\n{"a": 1}\n~~~',
    '```json\r\n{"a": 1}\r\n```', '```json {"a": 1} ```', '```{"a": 1}```', '```json\n{"a": 1}```',
]  # fmt: skip


@pytest.mark.parametrize("said", FENCED)
@pytest.mark.parametrize("form", [FORM, ResponseFormat(Form.JSON_OBJECT)], ids=["schema", "object"])
async def test_a_fence_is_taken_off(said: str, form: ResponseFormat) -> None:
    helper, generator = agent(drafts(says(said)))  # type: ignore[arg-type]
    got, outcome = await played(helper, replace(ASK, response_format=form))
    assert orjson.loads(text(got)) == {"a": 1}
    assert (len(generator.asked), outcome.reason) == (1, FinishReason.STOP)


@pytest.mark.parametrize(
    "said",
    ['```json\n{"a": "x"}\n```', '```json\n{"a": 1}', '```json\n{"a": 1}\n```\n```json\n{"a": 2}\n```', "```\n```"],
)
async def test_a_fence_makes_nothing_right(said: str) -> None:
    helper, _ = agent(drafts(says(said)))  # type: ignore[arg-type]
    with pytest.raises(OutputInvalid):
        await played(helper, replace(ASK, response_format=FORM))


async def test_a_fence_within_json_is_text() -> None:
    said = '{"a": "```json\\n{}\\n```"}'
    helper, _ = agent(drafts(says(said)))  # type: ignore[arg-type]
    got, _ = await played(helper, replace(ASK, response_format=ResponseFormat(Form.JSON_OBJECT)))
    assert text(got) == said


async def test_a_judge_may_use_a_fence() -> None:
    def answer(generation: Generation) -> Sequence[Said]:
        if "answers a question" in generation.messages[0].content:
            return says('```json\n{"score": 0.9, "reason": "It does."}\n```')
        return says("Cats sleep.")

    got, _ = await played(agent(answer, "graders: [answers]\n")[0], ASK)
    assert [(body.passed, body.undecided) for body in got if isinstance(body, VerdictGiven)] == [(True, False)]


async def test_the_schema_may_be_graded_too() -> None:
    helper, _ = agent(drafts(says('{"a": 1}')), "graders: [schema]\n")  # type: ignore[arg-type]
    got, _ = await played(helper, replace(ASK, response_format=FORM))
    assert [body.passed for body in got if isinstance(body, VerdictGiven)] == [True]
    assert text(got) == '{"a": 1}'


async def test_a_grader_without_anybody_to_judge() -> None:
    helper, _ = agent(drafts(says("x")), "graders: [answers: {judge: embeddings}]\n")  # type: ignore[arg-type]
    with pytest.raises(ModelUnavailable):
        await played(helper, ASK)


def deciding(approved: bool, **fields: str) -> FakeJournal:
    return FakeJournal(decide=lambda request: ApprovalDecided(request.approval_id, approved, "ann", **fields))


GATED = {"t": ToolPolicy(approval=True)}


async def test_a_call_waits_for_a_person() -> None:
    tool, free = FakeTool("t"), FakeTool("free")
    script = turns(calls(("t", '{"n":1}'), ("free", "{}")), says("done"))
    helper, _ = agent(script, "", tool, free, policies=GATED)
    got, _ = await played(helper, ASK, deciding(True))
    # What needs no approval does not wait for it.
    assert kinds(got)[5:10] == [
        "StepStarted", "ToolResultReceived", "ApprovalRequested", "ApprovalDecided", "ToolResultReceived",
    ]  # fmt: skip
    (request,) = [body for body in got if isinstance(body, ApprovalRequested)]
    assert request.kind is ApprovalKind.TOOL_CALL
    assert request.call is not None
    assert (request.call.name, request.call.arguments_json, tool.called) == ("t", '{"n":1}', [{"n": 1}])
    assert request.expires is not None
    assert abs(request.expires - time.time() - 86_400) < 60


async def test_a_refused_call_is_a_result_with_the_comment() -> None:
    tool = FakeTool("t")
    helper, generator = agent(turns(calls(("t", "{}")), says("as you wish")), "approval: {tools: [t]}\n", tool)
    got, outcome = await played(helper, ASK, deciding(False, comment="too dear"))
    assert [one.error_reason for one in results(got)] == [Reason.REFUSED]
    assert generator.asked[1].messages[-1].content == "Error: a person refused this call: too dear"
    assert (tool.called, outcome.reason) == ([], FinishReason.STOP)


async def test_a_call_that_is_wrong_is_not_put_to_a_person() -> None:
    helper, _ = agent(turns(calls(("t", "[")), says("sorry")), "", FakeTool("t"), policies=GATED)
    got, _ = await played(helper, ASK)
    assert [one.error_reason for one in results(got)] == [Reason.INVALID_JSON]


async def test_a_run_waits_for_a_person() -> None:
    helper, generator = agent(drafts(says("4")), "approval: {run: true, expires: null}\n")  # type: ignore[arg-type]
    got, outcome = await played(helper, ASK, deciding(True))
    assert kinds(got)[:3] == ["ApprovalRequested", "ApprovalDecided", "StepStarted"]
    assert isinstance(got[0], ApprovalRequested)
    assert (got[0].kind, got[0].expires) == (ApprovalKind.RUN, None)
    got, outcome = await played(helper, ASK, deciding(False, comment="Not today."))
    assert (text(got), outcome.reason) == (f"{REJECTED_RUN} Not today.", FinishReason.REJECTED)
    assert len(generator.asked) == 1


@pytest.mark.parametrize(
    ("sure", "approved", "replacement", "said", "reason"),
    [
        (0.9, False, "", "4", FinishReason.STOP),
        (0.3, True, "", "4", FinishReason.STOP),
        (0.3, True, "It is four.", "It is four.", FinishReason.STOP),
        (0.3, False, "", REJECTED_ANSWER, FinishReason.REJECTED),
        (None, True, "", "4", FinishReason.STOP),
    ],
)
async def test_an_unsure_answer_is_put_to_a_person(
    sure: float | None, approved: bool, replacement: str, said: str, reason: FinishReason
) -> None:
    helper, generator = agent(drafts(says("4", sure=sure)), "approval: {answer_below: 0.5}\n")  # type: ignore[arg-type]
    got, outcome = await played(helper, ASK, deciding(approved, replacement=replacement))
    assert generator.asked[0].confidence
    assert (text(got), outcome.reason) == (said, reason)
    asked = [body for body in got if isinstance(body, ApprovalRequested)]
    assert [(one.kind, one.draft) for one in asked] == ([] if sure == 0.9 else [(ApprovalKind.ANSWER, "4")])
    # The draft is not shown before it is approved.
    shown = kinds(got).index("TextDelta")
    assert "ApprovalRequested" not in kinds(got)[shown:]


async def test_waiting_for_a_person_does_not_use_up_the_time(clock: DrivenClock) -> None:
    helper, _ = agent(turns(calls(("t", "{}")), says("done")), "limits: {seconds: 60}\n", FakeTool("t"),
                      policies=GATED)  # fmt: skip

    class Slow(FakeJournal):
        async def decision(self, approval_id: str) -> ApprovalDecided:
            await clock.advance(90)
            return await super().decision(approval_id)

    journal = Slow(decide=lambda request: ApprovalDecided(request.approval_id, True))
    _, outcome = await played(helper, ASK, journal)
    assert outcome.reason is FinishReason.STOP


async def test_nothing_is_said_twice_with_citations_held_back() -> None:
    helper, _ = agent(drafts(says("Cats sleep [1]. Dogs run [1].")), GROUNDED, retriever=CATS, embedder=Embeds())  # type: ignore[arg-type]
    got, _ = await played(helper, ASK)
    assert sum(isinstance(body, TextDelta) for body in got) == 1
    spans = [body.answer_span for body in got if isinstance(body, CitationAdded)]
    assert [text(got)[span.start : span.end] for span in spans] == ["Cats sleep", "Dogs run"]


@pytest.mark.parametrize(
    ("said", "passed"),
    [
        ("Cats sleep 16 hours.", True),
        ("Cats sleep 61 hours.", False),
        ("Cats sleep 1,600 hours a year.", True),
        ("猫每天睡觉十六个小时。", True),
        ("狐狸跳过栅栏。", False),
        ("...", True),
    ],
)
async def test_numbers_and_other_scripts(said: str, passed: bool) -> None:
    grader = SimilarToEvidence(Embeds())
    sources = ("Cats sleep for 16 hours a day, 1600 hours a year. Dogs run.", "猫每天要睡觉十六个小时。狗会跑。")
    assert (await grader.grade(GradedAnswer("How long?", said, evidence=sources))).passed is passed


@pytest.mark.parametrize(
    ("question", "said", "passed"),
    [
        ("What do cats do?", "Cats sleep.", True),
        ("What do cats do?", "Dogs run.", False),
        ("猫睡多久?", "猫每天睡觉十六个小时。", True),
        ("猫睡多久?", "狐狸跳过栅栏。", False),
        ("What do cats do?", "", False),
    ],
)
async def test_about_the_question(question: str, said: str, passed: bool) -> None:
    assert (await SimilarToQuestion(Embeds()).grade(GradedAnswer(question, said))).passed is passed


async def test_an_answer_that_says_that_nothing_was_found_is_not_graded() -> None:
    helper, _ = agent(drafts(says(declined("default"))), GROUNDED, retriever=CATS, embedder=Embeds())  # type: ignore[arg-type]
    got, outcome = await played(helper, ASK)
    assert (text(got), outcome.reason) == (declined("default"), FinishReason.NO_ANSWER)
    assert StepKind.GRADE not in steps(got)


async def test_what_quotes_is_not_asked_to_write_again() -> None:
    helper, generator = agent(drafts(says("A fox jumps.")), GROUNDED, retriever=CATS, embedder=Embeds(),  # type: ignore[arg-type]
                              engine=EngineKind.EXTRACTIVE)  # fmt: skip
    got, _ = await played(helper, ASK)
    assert len(generator.asked) == 1
    assert "This answer is not certain" in text(got)
