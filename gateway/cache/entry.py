"""An answer that is kept, and its form in bytes. Pure."""

from dataclasses import asdict, dataclass
from typing import Any

import orjson

CHAT, RUN = "chat", "run"
_LENGTH = 4


@dataclass(frozen=True, slots=True)
class DocumentVersion:
    """A document that an answer rests on, as it was then. `updated`: nanoseconds since the epoch."""

    collection: str
    id: str
    content_hash: str
    updated: int


@dataclass(frozen=True, slots=True)
class Used:
    """What an answer took."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_nanos: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """`body`: a whole completion's JSON, or a run's events. `kind` says which. `model`: the agent or model. `subject`:
    whose call it was the answer to. Times are seconds since the epoch."""

    key: str
    partition: str
    tenant: str
    subject: str
    model: str
    kind: str
    created: float
    expires: float
    used: Used
    body: bytes
    documents: tuple[DocumentVersion, ...] = ()

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return len(self.body) + 512 + 128 * len(self.documents)


def pack(answer: CachedAnswer) -> bytes:
    """One that `unpack` reads."""
    fields = asdict(answer)
    body: bytes = fields.pop("body")
    head = orjson.dumps(fields)
    return len(head).to_bytes(_LENGTH, "big") + head + body


def unpack(data: bytes) -> CachedAnswer:
    """Raises ValueError for what is none."""
    try:
        end = _LENGTH + int.from_bytes(data[:_LENGTH], "big")
        head: dict[str, Any] = orjson.loads(data[_LENGTH:end])
        documents = tuple(DocumentVersion(**each) for each in head.pop("documents"))
        used = Used(**head.pop("used"))
        return CachedAnswer(**head, used=used, documents=documents, body=data[end:])
    except (AttributeError, KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise ValueError("it is no answer of the cache") from error
