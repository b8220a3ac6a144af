"""What the guards say of what an agent is about to read: passages, and what tools gave."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from math import isnan

from services.orchestrator.agents.loop import metrics
from services.orchestrator.agents.loop.screener import Item, Reading, Screener, ScreeningVerdict
from services.orchestrator.agents.loop.work import Work
from services.orchestrator.agents.specs.asked_models import asked_models
from services.orchestrator.domain.event import Span, VerdictGiven
from services.orchestrator.domain.passage import Found, Passage
from services.orchestrator.domain.tool import Reason, ToolResult
from services.runtime.errors import DomainError, ErrorKind

log = logging.getLogger(__name__)

# Of texts in one call of the guards, which take 4 MiB; a character has four bytes at most.
MOST_CHARACTERS = 1 << 20
# A verdict on what is read has the number of no answer.
NO_ANSWER = 0
# Why a result is withheld, by the guard that has found something in it.
WITHHELD = {
    "injection": "it may try to give you orders",
    "pii": "it has personal data in it",
    "secrets": "it has a key or a password in it",
    "terms": "it has words in it that are not allowed",
    "links": "it has links in it that are not allowed",
    "length": "it is too long",
}
OTHER = "a guard does not let it pass"
UNCHECKED = "Error: this result could not be checked, so it was withheld. Go on without it."


def withheld(guard: str) -> str:
    """What a model reads in place of a result in which a guard has found something."""
    return f"Error: this result was withheld, because {WITHHELD.get(guard, OTHER)}. Go on without it."


async def passages(work: Work, found: Found) -> Found:
    """Those that may be read, as they may be; notes verdicts on the others. Raises DomainError where the guards are
    gone and the run may not go on without them."""
    screener = _screener(work)
    if screener is None or not found.passages:
        return found
    started = time.monotonic()
    try:
        return await _screened(work, screener, found)
    finally:
        work.hops["guards"] += time.monotonic() - started


async def _screened(work: Work, screener: Screener, found: Found) -> Found:
    titled = [one for one in found.passages if one.title]
    items = [Item(one.id, one.text, one.document_id) for one in found.passages]
    items += [Item(one.id, one.title, one.document_id) for one in titled]
    led = [one for one in found.passages if one.leads]
    items += [Item(one.id, _leads(one), one.document_id) for one in led]
    try:
        told = await screener.screen(Reading.PASSAGE, work.spec.name, items, asked_models(work.spec, work.kit.models))
    except DomainError as error:
        if _refused(error) or screener.closed(len(work.toolbox) > 0):
            raise
        _missed(Reading.PASSAGE, error)
        return found
    about = told[len(found.passages) :]
    titles = dict(zip((one.id for one in titled), about, strict=False))
    leads = dict(zip((one.id for one in led), about[len(titled) :], strict=True))
    read: list[Passage] = []
    for passage, text in zip(found.passages, told, strict=False):
        title = titles.get(passage.id, ScreeningVerdict(passage.title))
        lead = leads.get(passage.id, ScreeningVerdict(_leads(passage)))
        blocked = next((verdict for verdict in (text, title, lead) if verdict.text is None), None)
        if blocked:
            _note(work, blocked, f"passage {passage.id} left out")
        else:
            clean = passage if lead.text == _leads(passage) else replace(passage, leads=())
            read.append(_redacted(clean, text.text or "", title.text or ""))
    return replace(found, passages=tuple(read))


async def results(work: Work, given: Sequence[ToolResult]) -> list[ToolResult]:
    """The results as the model may read them, in the same order; the guards are asked once about all of them."""
    screener = _screener(work)
    asked = [one for one in given if one.attempts and one.content]
    if screener is None or not asked:
        return list(given)
    read: dict[str, ToolResult] = {}
    for part in parts(asked):
        read |= {one.call_id: one for one in await _read(work, screener, part)}
    return [read.get(one.call_id, one) for one in given]


def parts(given: Sequence[ToolResult]) -> list[list[ToolResult]]:
    """The results in as few parts as the guards take at once."""
    made: list[list[ToolResult]] = [[]]
    size = 0
    for one in given:
        size += len(one.content)
        if made[-1] and size > MOST_CHARACTERS:
            made.append([])
            size = len(one.content)
        made[-1].append(one)
    return made


async def _read(work: Work, screener: Screener, given: Sequence[ToolResult]) -> list[ToolResult]:
    items = [Item(one.call_id, one.content, one.name) for one in given]
    try:
        told = await screener.screen(
            Reading.TOOL_RESULT, work.spec.name, items, asked_models(work.spec, work.kit.models)
        )
    except DomainError as error:
        if not (_refused(error) or screener.closed(tools=True)):
            _missed(Reading.TOOL_RESULT, error)
            return list(given)
        return [replace(one, content=UNCHECKED, is_error=True, error_reason=Reason.UNAVAILABLE) for one in given]
    return [_result(work, one, said) for one, said in zip(given, told, strict=True)]


def _result(work: Work, given: ToolResult, told: ScreeningVerdict) -> ToolResult:
    if told.text is None:
        _note(work, told, f"result of {given.name} withheld")
        return replace(given, content=withheld(told.guard), is_error=True, error_reason=Reason.WITHHELD)
    return given if told.text == given.content else replace(given, content=told.text)


def _screener(work: Work) -> Screener | None:
    """The guards, where they have anything to look at."""
    screener = work.kit.screener
    return screener if screener is not None and screener.wanted() else None


def noted(work: Work) -> list[VerdictGiven]:
    """The verdicts that were not told yet."""
    told, work.screened = work.screened, []
    return told


def _note(work: Work, told: ScreeningVerdict, what: str) -> None:
    reason = f"{what}: {told.reason}" if told.reason else what
    work.screened.append(VerdictGiven(f"guard:{told.guard}", False, 1 - told.score, reason, NO_ANSWER))


def _refused(error: DomainError) -> bool:
    """Whether the guards are there and say no, such as for a policy that cannot be used."""
    return error.kind is not ErrorKind.UNAVAILABLE


def _missed(reading: Reading, error: DomainError) -> None:
    metrics.UNSCREENED.labels(reading.value).inc()
    log.warning("read without the guards", extra={"what": reading.value, "reason": error.reason})


def _leads(passage: Passage) -> str:
    """All that its sentences are read after, each once: it may stand elsewhere in the document."""
    return "\n".join(lead for lead in dict.fromkeys(passage.leads) if lead)


def _redacted(passage: Passage, text: str, title: str) -> Passage:
    """The passage with other words. Where its text is another, its sentences are not where they were: it is one."""
    if text == passage.text:
        return passage if title == passage.title else replace(passage, title=title)
    own = passage.cosines and ((max(passage.cosines) if isnan(passage.dense) else passage.dense),)
    return replace(passage, text=text, title=title, sentences=(Span(0, len(text)),), cosines=own, leads=())
