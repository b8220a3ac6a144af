"""A chain: canonical JSON, the hashes over it, and what refers to what can be erased. Pure."""

import hashlib
import secrets
from dataclasses import dataclass

import orjson

from gateway.audit.entry import LONGEST_CONTENT, Actor, AuditEntry, Content
from services.runtime.redaction import shown

VERSION = 1
# Its records do not name it: they may be from when there was no other.
FIRST_CHAIN = 1
# What the first record of a chain follows.
GENESIS = "0" * 64
MOST_DETAILS = 32
LONGEST = 256
_OMITTED: tuple[object, ...] = ("", 0, (), {}, None)


@dataclass(frozen=True, slots=True)
class Link:
    """A record in its place in a chain. `record` is canonical JSON."""

    sequence: int
    record: str
    previous: str
    hash: str
    chain: int = FIRST_CHAIN


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces; what cannot be encoded as UTF-8 is replaced."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        return orjson.dumps(_clean(value), option=orjson.OPT_SORT_KEYS).decode()


def digest(previous: str, record: str) -> str:
    """The hash of a record that follows the one with the hash `previous`."""
    return hashlib.sha256(f"{previous}\n{record}".encode()).hexdigest()


def link(
    chain: int, previous: str, sequence: int, entry: AuditEntry, entry_id: str, actor_ref: str, content: str
) -> Link:
    """The next link of a chain. `content` is the hash of what was said, or empty."""
    fields = _fields(entry)
    fields |= {"actor": actor_ref, "id": entry_id, "sequence": sequence, "v": VERSION}
    if content:
        fields["content"] = content
    if chain != FIRST_CHAIN:
        fields["chain"] = chain
    record = canonical(fields)
    return Link(sequence, record, previous, digest(previous, record), chain)


def _fields(entry: AuditEntry) -> dict[str, object]:
    """What is not empty."""
    fields: dict[str, object] = {
        "action": entry.action[:LONGEST],
        "decision": entry.decision.value,
        "tenant": entry.actor.tenant,
        "time": entry.time,
        "project": entry.project,
        "reason": entry.reason and shown(entry.reason, LONGEST),
        "model": entry.model and shown(entry.model, LONGEST),
        "agent_version": entry.agent_version,
        "collection": entry.collection and shown(entry.collection, LONGEST),
        "run_id": entry.run_id and shown(entry.run_id, LONGEST),
        "request_id": entry.request_id and shown(entry.request_id, LONGEST),
        "prompt_tokens": entry.prompt_tokens,
        "completion_tokens": entry.completion_tokens,
        "cost_nanos": entry.cost_nanos,
        "guards": entry.guards[:MOST_DETAILS],
        "count": entry.count if entry.count > 1 else 0,
    }
    if entry.details:
        some = list(entry.details.items())[:MOST_DETAILS]
        fields["details"] = {shown(key, LONGEST): shown(value, LONGEST) for key, value in some}
    return {name: value for name, value in fields.items() if value not in _OMITTED}


def new_salt() -> str:
    return secrets.token_hex(16)


def actor_ref(actor: Actor, salt: str) -> str:
    """What records call the actor: it can be checked with the salt, and not be guessed without it."""
    text = canonical([salt, actor.tenant, actor.subject, actor.key, actor.address])
    return f"act_{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def content_json(content: Content) -> str:
    return canonical({"answer": content.answer[:LONGEST_CONTENT], "prompt": content.prompt[:LONGEST_CONTENT]})


def content_hash(salt: str, data: str) -> str:
    """The hash of content; without the salt it cannot be guessed either."""
    return hashlib.sha256(f"{salt}\n{data}".encode()).hexdigest()


def _clean(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {str(_clean(key)): _clean(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return str(value)
    return value
