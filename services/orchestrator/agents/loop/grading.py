"""The step that has the answer judged."""

import logging
import time

from services.orchestrator.agents.loop.graders.grader import Grade, GradedAnswer, Grader
from services.orchestrator.agents.loop.graders.make import grader_of
from services.orchestrator.agents.loop.limits import reached, soft
from services.orchestrator.agents.loop.retrieving import question_of
from services.orchestrator.agents.loop.work import Bodies, Work
from services.orchestrator.agents.specs.spec import GraderSpec
from services.orchestrator.domain.event import StepFinished, StepKind, StepStarted, UsageReported, VerdictGiven
from services.runtime.errors import DomainError

log = logging.getLogger(__name__)


def graded(work: Work) -> bool:
    """There are graders that have not judged the present draft."""
    return len(verdicts(work)) < len(work.spec.graders)


def verdicts(work: Work) -> list[VerdictGiven]:
    """Those on the present draft."""
    attempt = work.state.repairs + 1
    return [verdict for verdict in work.state.verdicts if verdict.attempt == attempt]


def failures(work: Work) -> list[VerdictGiven]:
    """The verdicts against the present draft."""
    return [verdict for verdict in verdicts(work) if not verdict.passed and not verdict.undecided]


def unchecked(work: Work) -> list[VerdictGiven]:
    """What of the present draft was not judged, and why."""
    return [verdict for verdict in verdicts(work) if verdict.undecided]


async def grade(work: Work) -> Bodies:
    """Have the draft judged by all graders that have not, one after another."""
    state, draft = work.state, work.state.draft
    assert draft is not None  # noqa: S101 (it is what is judged)
    if state.open is None:
        yield StepStarted(state.steps + 1, StepKind.GRADE)
    number, attempt = state.steps, state.repairs + 1
    known = {verdict.grader for verdict in verdicts(work)}
    question = GradedAnswer(question_of(work), draft.text, work.passages, _evidence(work), work.checker, work.ends)
    started = time.monotonic()
    usage = UsageReported(0, 0)
    for spec in work.spec.graders:
        if spec.grader not in known:
            given = await _judge(work, spec, question)
            usage += given.usage
            yield VerdictGiven(
                spec.grader, given.passed, given.score, given.reason, attempt, given.sentences, given.undecided
            )
    took = time.monotonic() - started
    work.hops["graders"] += took
    yield StepFinished(number, StepKind.GRADE, usage=usage, seconds=took, waited=took)


async def _judge(work: Work, spec: GraderSpec, question: GradedAnswer) -> Grade:
    limit = reached(work.spec.limits, work.state, work.clock.elapsed)
    if limit and not soft(limit):
        work.limit = limit
        return Grade.none(f"it was not judged: the limit on {limit} was reached")
    grader: Grader = grader_of(spec, work.handle, work.kit.models, work.kit.embedder)
    try:
        return await grader.grade(question)
    except DomainError as error:
        log.warning("an answer was not judged", extra={"grader": spec.grader, "reason": error.reason})
        return Grade.none(f"the judge cannot be asked now ({error.reason})")


def _evidence(work: Work) -> tuple[str, ...]:
    """What the answer may rest on: the passages, and what tools gave."""
    results = (one.content for one in work.state.results.values() if not one.is_error)
    return (*(passage.text for passage in work.passages), *results)
