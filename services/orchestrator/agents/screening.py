"""What the guards say of what an agent is about to read: passages, and what tools gave."""

import logging
from dataclasses import replace
from math import isnan

from services.orchestrator.agents import metrics
from services.orchestrator.agents.screener import Item, Reading, Screening
from services.orchestrator.agents.work import Work
from services.orchestrator.rag.retriever import Found, Passage
from services.orchestrator.runs.events import Span, VerdictGiven
from services.orchestrator.tools.tool import Reason, ToolResult
from services.runtime.errors import DomainError

log = logging.getLogger(__name__)

# A verdict on what is read has the number of no answer.
NO_ANSWER = 0
WITHHELD = "Error: this result was withheld, because it may try to give you orders. Go on without it."
UNSCREENED = "Error: this result could not be checked, so it was withheld. Go on without it."


async def passages(work: Work, found: Found) -> Found:
    """Those that may be read, as they may be; notes verdicts on the others. Raises DomainError where the guards are
    gone and the run may not go on without them."""
    screener = work.kit.screener
    if screener is None or not found.passages:
        return found
    titled = [one for one in found.passages if one.title]
    items = [Item(one.id, one.text, one.document_id) for one in found.passages]
    items += [Item(one.id, one.title, one.document_id) for one in titled]
    try:
        told = await screener.screen(Reading.PASSAGE, work.spec.name, items)
    except DomainError as error:
        if screener.closed(len(work.toolbox) > 0):
            raise
        _missed(Reading.PASSAGE, error)
        return found
    titles = dict(zip((one.id for one in titled), told[len(found.passages) :], strict=True))
    read: list[Passage] = []
    for passage, text in zip(found.passages, told, strict=False):
        title = titles.get(passage.id, Screening(passage.title))
        if text.text is None or title.text is None:
            _note(work, text if text.text is None else title, f"passage {passage.id} left out")
        else:
            read.append(_redacted(passage, text.text, title.text))
    return replace(found, passages=tuple(read))


async def result(work: Work, given: ToolResult) -> ToolResult:
    """The result as the model may read it."""
    screener = work.kit.screener
    if screener is None or not given.attempts or not given.content:
        return given
    try:
        (told,) = await screener.screen(
            Reading.TOOL_RESULT, work.spec.name, [Item(given.call_id, given.content, given.name)]
        )
    except DomainError as error:
        if not screener.closed(tools=True):
            _missed(Reading.TOOL_RESULT, error)
            return given
        return replace(given, content=UNSCREENED, is_error=True, error_reason=Reason.UNAVAILABLE)
    if told.text is None:
        _note(work, told, f"result of {given.name} withheld")
        return replace(given, content=WITHHELD, is_error=True, error_reason=Reason.WITHHELD)
    return given if told.text == given.content else replace(given, content=told.text)


def noted(work: Work) -> list[VerdictGiven]:
    """The verdicts that were not told yet."""
    told, work.screened = work.screened, []
    return told


def _note(work: Work, told: Screening, what: str) -> None:
    reason = f"{what}: {told.reason}" if told.reason else what
    work.screened.append(VerdictGiven(f"guard:{told.guard}", False, 1 - told.score, reason, NO_ANSWER))


def _missed(reading: Reading, error: DomainError) -> None:
    metrics.UNSCREENED.labels(reading.value).inc()
    log.warning("read without the guards", extra={"what": reading.value, "reason": error.reason})


def _redacted(passage: Passage, text: str, title: str) -> Passage:
    """The passage with other words. Where its text is another, its sentences are not where they were: it is one."""
    if text == passage.text:
        return passage if title == passage.title else replace(passage, title=title)
    own = passage.cosines and ((max(passage.cosines) if isnan(passage.dense) else passage.dense),)
    return replace(passage, text=text, title=title, sentences=(Span(0, len(text)),), cosines=own)
