"""What one call used."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.metadata import random_digits
from services.runtime.identity import Identity


@dataclass(frozen=True, slots=True)
class Usage:
    """A settled call. `time`: when it was settled, in seconds since the epoch. `seconds`: how long it took."""

    id: str
    time: float
    tenant: str
    project: str = ""
    key: str = ""
    subject: str = ""
    agent: str = ""
    agent_version: int = 0
    model: str = ""
    run_id: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost_nanos: int = 0
    finish_reason: str = ""
    seconds: float = 0.0

    @property
    def day(self) -> str:
        """The day in UTC, such as 2026-01-31."""
        return day_of(self.time)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a call came to, without who called. Tokens in the cache are among those of the prompt."""

    agent: str
    agent_version: int = 0
    model: str = ""
    run_id: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost_nanos: int = 0
    finish_reason: str = ""
    seconds: float = 0.0


def usage_of(who: Identity, spent: Spent, now: float | None = None) -> Usage:
    """The row for a call that ends now."""
    now = time.time() if now is None else now
    return Usage(
        id=new_usage_id(now),
        time=now,
        tenant=_fitting(who.tenant, 128),
        project=_fitting(who.project, 128),
        key=_fitting(who.key, 192),
        subject=_fitting(who.subject, 192),
        agent=_fitting(spent.agent, 128),
        agent_version=spent.agent_version,
        model=_fitting(spent.model, 128),
        run_id=_fitting(spent.run_id, 192),
        prompt_tokens=spent.prompt_tokens,
        completion_tokens=spent.completion_tokens,
        cached_tokens=spent.cached_tokens,
        cost_nanos=spent.cost_nanos,
        finish_reason=_fitting(spent.finish_reason, 64),
        seconds=spent.seconds,
    )


def new_usage_id(now: float) -> str:
    """An id that sorts by time, to the microsecond."""
    return f"{usage_id_at(now)}{random_digits()[:10]}"


def usage_id_at(now: float) -> str:
    """No id of that time or later is less than this."""
    return f"use_{max(0, int(now * 1e6)):014x}"


def _fitting(text: str, most: int) -> str:
    """As much of it as its column takes: no name may keep a call from being settled."""
    return text.replace("\0", "")[:most]


def day_of(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()
