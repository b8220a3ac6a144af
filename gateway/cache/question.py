"""What is asked, as the cache compares it: hashes of all that may change an answer, and of who may have it. Pure."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from gateway.cache.entry import CachedAnswer
from gateway.cache.policy import CachePolicy
from services.runtime.identity import Identity
from services.runtime.permissions import allows

# In every hash: answers that an older release has kept in another form are not found.
VERSION = 1
SEES_ALL = "documents.others:read"
Current = Callable[[CachedAnswer], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Question:
    """`partition`: the hash of all but the question; no answer goes from one to another, whatever is asked. `key`: the
    hash of all. `current` tells whether an answer still holds, as far as it rests on documents. `text`: the one thing
    that is asked, where it may be compared by meaning; empty where not."""

    partition: str
    key: str
    current: Current | None = None
    text: str = ""


class Asked(Protocol):
    """Gives a call's question, for a policy; None where its answer is not to be kept."""

    async def __call__(self, policy: CachePolicy) -> Question | None: ...


def readers(who: Identity, policy: CachePolicy) -> Mapping[str, Any]:
    """Who may have an answer that `who` gets: of the same tenant, access groups and claims, and as the policy
    narrows it."""
    base = {
        "tenant": who.tenant,
        "groups": who.groups,
        "sees_all": allows(who.scopes, SEES_ALL),
        "claims": who.claims,
    }
    if policy.shared_by == "groups":
        return base
    return base | {"subject": who.subject} | ({"key": who.key} if policy.shared_by == "key" else {})


def question_of(
    kind: str, shared: Mapping[str, Any], asked: Any, current: Current | None = None, text: str = ""
) -> Question:
    """The question of a `kind` of call: `shared` is what the partition goes by, `asked` what is asked within it."""
    partition = digest([VERSION, kind, shared])
    return Question(partition, digest([partition, asked]), current, text)


def digest(value: Any) -> str:
    """The same for equal JSON, in whatever order its fields are."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)).hexdigest()
