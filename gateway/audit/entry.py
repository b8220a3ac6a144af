"""What the audit records."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

LONGEST_CONTENT = 1 << 18


class Decision(Enum):
    """What became of it: done, refused before it began (identity, permission, limit, budget), stopped by a guard or by
    a budget, or failed for a reason that nobody decided."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    BLOCKED = "blocked"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acted: all that identifies a person. `key` is the id of the API key, `address` where the call came from."""

    tenant: str = ""
    subject: str = ""
    key: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """What was asked and answered, as the guards let it pass; LONGEST_CONTENT characters of each at most are kept."""

    prompt: str
    answer: str = ""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One call, or one change by an administrator.

    `action` is the RPC's path or the verb of the change, `model` the model or agent, `agent_version` its release,
    `guards` the names of the guards that found something, `details` further facts without personal data, such as what
    was changed. `count` is over 1 where equal attempts share an entry. `time`: seconds since the epoch; tokens and
    nanos are those of the settled call.
    """

    action: str
    decision: Decision
    actor: Actor = Actor()
    project: str = ""
    reason: str = ""
    model: str = ""
    agent_version: int = 0
    collection: str = ""
    run_id: str = ""
    request_id: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_nanos: int = 0
    guards: tuple[str, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)
    count: int = 1
    content: Content | None = None
    time: float = field(default_factory=time.time)
