"""The guards' verdict on each text that an agent is about to read."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gateway.guard.finding import Finding
from gateway.guard.pipeline import Screened
from services.runtime.errors import InvalidArgument

MOST_ITEMS = 256
MOST_BYTES = 4 << 20


class Verdict(StrEnum):
    """What may be done with a text."""

    ALLOW = "allow"
    REDACT = "redact"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Judged:
    """A text's verdict. `text`: as it may be read; empty where it may not be."""

    verdict: Verdict
    text: str
    findings: tuple[Finding, ...]


class ContextPipeline(Protocol):
    """The part of Pipeline that is needed."""

    async def screen_context(self, texts: Sequence[str], *, owner: str = "") -> Screened: ...


class Pipelines(Protocol):
    """Policies, as far as needed. Raises DomainErrors."""

    def of(self, tenant: str, *names: str) -> ContextPipeline: ...


async def judge(
    pipelines: Pipelines, tenant: str, agent: str, texts: Sequence[str], models: Sequence[str] = ()
) -> list[Judged]:
    """One verdict for each text, in order. `models`: those that the agent asks.

    Raises InvalidArgument, GuardPolicyBroken."""
    if len(texts) > MOST_ITEMS:
        raise InvalidArgument(f"{len(texts)} items; the most is {MOST_ITEMS}", field="items")
    if sum(len(text.encode("utf-8", "replace")) for text in texts) > MOST_BYTES:
        raise InvalidArgument(f"the items have more than {MOST_BYTES >> 20} MiB in all", field="items")
    screened = await pipelines.of(tenant, agent, *models).screen_context(texts, owner=tenant)
    blocked = screened.blocked_items
    return [
        _judged(text, said, number in blocked, tuple(one for one in screened.findings if one.item == number))
        for number, (text, said) in enumerate(zip(texts, screened.texts, strict=True))
    ]


def _judged(text: str, said: str, blocked: bool, findings: tuple[Finding, ...]) -> Judged:
    if blocked:
        return Judged(Verdict.DROP, "", findings)
    return Judged(Verdict.ALLOW if said == text else Verdict.REDACT, said, findings)
