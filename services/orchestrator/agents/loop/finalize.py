"""What happens to an answer once the model has written it: checked, graded, approved, and then said."""

from services.llm.chat import Message, Role
from services.llm.generation import Finish
from services.orchestrator.agents.loop.approving import ask_person, decided
from services.orchestrator.agents.loop.citations import CitationWriter, quotes
from services.orchestrator.agents.loop.generating import generate
from services.orchestrator.agents.loop.grading import failures, graded, unchecked
from services.orchestrator.agents.loop.limits import reached
from services.orchestrator.agents.loop.prompt import declined
from services.orchestrator.agents.loop.prompt_plan import build_request
from services.orchestrator.agents.loop.work import Bodies, Work
from services.orchestrator.agents.specs import structured
from services.orchestrator.agents.specs.errors import OutputInvalid
from services.orchestrator.domain.event import (
    ApprovalKind,
    CitationAdded,
    FinishReason,
    Span,
    StepFinished,
    StepKind,
    TextDelta,
)

REJECTED_RUN = "A person has refused this run."
REJECTED_ANSWER = "A person has refused the answer to this."
NOT_CERTAIN = "This answer is not certain:"
NOT_CHECKED = "This answer was not checked in full:"
REASONS = {
    Finish.STOP: FinishReason.STOP,
    Finish.REFUSAL: FinishReason.STOP,
    Finish.LENGTH: FinishReason.LENGTH,
    Finish.TOOL_CALLS: FinishReason.TOOL_CALLS,
    Finish.CONTENT_FILTER: FinishReason.CONTENT_FILTER,
    Finish.NO_ANSWER: FinishReason.NO_ANSWER,
}


async def repair(work: Work) -> Bodies | None:
    """The step that mends the draft; None where it is right, or where there is no more trying."""
    draft = work.state.draft
    if draft is None or _final(work, draft) or work.state.repairs:
        return None
    wrong = _wrong(work, draft)
    if not wrong or work.quotes or reached(work.spec.limits, work.state, work.clock.elapsed) not in ("", "steps"):
        return None
    told = (Message(Role.ASSISTANT, draft.text), Message(Role.USER, wrong))
    made = await build_request(work, StepKind.REPAIR, told)
    return generate(work, made) if made is not None else None


def _wrong(work: Work, draft: StepFinished) -> str:
    """What to tell the model about its draft; empty where nothing is wrong or it may not try again."""
    if work.checker is not None and (fault := work.checker.fault(draft.text)):
        # One that was cut off would be so again, and its prompt would be longer by all of it.
        if not work.spec.output.repair or draft.finish == Finish.LENGTH:
            return ""
        return f"Your answer cannot be used: {fault}\nWrite the answer again, as asked, and nothing else."
    failed = failures(work)
    if failed:
        found = "\n".join(f"- {verdict.reason}" for verdict in failed)
        return f"Your answer was checked, and this is wrong with it:\n{found}\nWrite a better answer, and nothing else."
    return ""


def _final(work: Work, draft: StepFinished) -> bool:
    """Nothing can be mended: the draft says that nothing was found, the model refuses, its server has ended it, or the
    run's time is over."""
    if draft.finish in ("", Finish.NO_ANSWER, Finish.CONTENT_FILTER, Finish.REFUSAL):
        return True
    return draft.text.strip() == declined(work.collections[0])


def needs_grade(work: Work) -> bool:
    """The draft has graders that have not judged it."""
    draft = work.state.draft
    if draft is None or _final(work, draft) or not graded(work):
        return False
    return not (work.checker is not None and work.checker.fault(draft.text))


async def finalize(work: Work) -> Bodies:
    """Ask a person where the model is not sure, and say the answer. What was said before is not said again."""
    state, draft = work.state, work.state.draft
    assert draft is not None  # noqa: S101 (there is one, or this would not be called)
    if draft.finish == Finish.NO_ANSWER:
        if not state.text[state.draft_start :]:
            yield TextDelta(declined(work.collections[0]))
        return
    if draft.finish == Finish.REFUSAL:
        if rest := draft.text.removeprefix(state.text[state.draft_start :]):
            yield TextDelta(rest, refusal=True)
        return
    text = _checked(work, draft) if work.held else None
    if text is None:
        return
    if draft.finish and _unsure(work, draft):
        for request in ask_person(work, ApprovalKind.ANSWER, _doubt(work, draft), draft=text):
            yield request
        decision = await decided(work, ApprovalKind.ANSWER)
        refused = f"{REJECTED_ANSWER} {decision.comment}".strip()
        instead = structured.unfenced(decision.replacement) if work.checker is not None else decision.replacement
        text = instead or text if decision.approved else refused
    for body in _said(work, text):
        yield body


def _checked(work: Work, draft: StepFinished) -> str | None:
    """The draft as it may be said; None where it may not. Raises OutputInvalid."""
    if not draft.finish:
        # The run's time is over: what there is, if it has its form.
        if work.checker is None:
            return draft.text
        return None if work.checker.fault(draft.text) else structured.unfenced(draft.text)
    if work.checker is not None:
        fault = work.checker.fault(draft.text)
        structured.counted(1 + work.state.repairs, valid=fault is None)
        if fault is None:
            return structured.unfenced(draft.text)
        if work.limit:
            return None
        if draft.finish in (Finish.LENGTH, Finish.CONTENT_FILTER):
            return draft.text  # cut off, as the run's end says
        raise OutputInvalid(f"the model's answer does not have the form that was asked for: {fault}"[:600])
    notes = [(NOT_CERTAIN, failures(work)), (NOT_CHECKED, unchecked(work))]
    said = [f"{how} {' '.join(one.reason.rstrip('.') + '.' for one in given)}" for how, given in notes if given]
    return "\n\n".join((draft.text.rstrip(), *said)) if said else draft.text


def _unsure(work: Work, draft: StepFinished) -> bool:
    below = work.spec.approval.answer_below
    return below is not None and (draft.confidence is None or draft.confidence < below)


def _doubt(work: Work, draft: StepFinished) -> str:
    if draft.confidence is None:
        return "the model's confidence is not known"
    return f"the model's confidence is {draft.confidence:.2f}, under {work.spec.approval.answer_below:.2f}"


def _said(work: Work, text: str) -> list[TextDelta | CitationAdded]:
    """The events that say the text, with its citations, without those that are recorded."""
    state = work.state
    before, said = state.text[: state.draft_start], state.text[state.draft_start :]
    if work.quotes:
        bodies = list(CitationWriter(before, said).write(text))
        spans = [CitationAdded(citation, Span(len(before) + span.start, len(before) + span.end))
                 for citation, span in quotes(text, work.passages)]  # fmt: skip
        return [*bodies, *spans[state.final_citations :]]  # type: ignore[list-item]  # only these two kinds
    cited = work.passages if work.spec.retrieval.citations else ()
    return CitationWriter(before, said, state.final_citations, cited).write(text)  # type: ignore[return-value]  # likewise


def reason_of(work: Work) -> FinishReason:
    """Why the run is over, now that its answer is said."""
    draft = work.state.draft
    assert draft is not None  # noqa: S101 (the answer was said)
    request = work.state.request(ApprovalKind.ANSWER)
    decision = work.state.decisions.get(request.approval_id) if request else None
    if decision is not None and not decision.approved:
        return FinishReason.REJECTED
    if not draft.finish:
        return FinishReason.LENGTH
    if draft.text.strip() == declined(work.collections[0]):
        return FinishReason.NO_ANSWER
    return REASONS[Finish(draft.finish)]
