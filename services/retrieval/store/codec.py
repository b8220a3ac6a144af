"""Documents and passages as points' payloads, the same for every engine.

A collection's points are of four kinds: passages, which have vectors; one record for each document; notes that a
document is being replaced in several steps; and leases. Labels are kept as one list of keywords, so that one index
serves them all.
"""

import base64
import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from services.retrieval.model import (
    Condition,
    Document,
    DocumentFilter,
    Groups,
    Passage,
    PassageRecord,
    Sentences,
)
from services.retrieval.store.engine import Empty, FieldTest, Where, Within
from services.runtime.labels import LABEL

Payload = dict[str, Any]

DENSE = "dense"
LEXICAL = "lexical"
PASSAGE = "passage"
DOCUMENT = "document"
PENDING = "pending"
LEASE = "lease"
INDEXED = ("kind", "document_id", "version", "media_type", "labels", "access")
SENTENCE_FIELDS = ("spans", "sentences", "leads")
# In the field "access" of what only some groups may read, beside these.
LISTED = "listed"

_SPACE = uuid.UUID("6f0d2c1e-9d0b-5f0c-8a55-2f6d1f0c7b3a")
_SEPARATOR = "\x1f"
_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,2})?")
_PLAIN_TENANT = re.compile(r"(?!.*__)[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9-])?")


def tenant_name(tenant: str) -> str:
    """The tenant's name as a part of a path or of a collection's name at a server; different for each tenant.

    It neither holds "__" nor ends in "_", so that tenant__collection can be told apart in one way only.
    """
    if _PLAIN_TENANT.fullmatch(tenant):
        return tenant
    return f"~{hashlib.sha256(tenant.encode()).hexdigest()[:40]}"


def passage_id(document_id: str, version: str, index: int) -> str:
    """The id of a passage: the same content of the same document always has the same ids."""
    return str(uuid.uuid5(_SPACE, _SEPARATOR.join((PASSAGE, document_id, version, str(index)))))


def record_id(document_id: str) -> str:
    """The id of a document's record."""
    return str(uuid.uuid5(_SPACE, _SEPARATOR.join((DOCUMENT, document_id))))


def pending_id(document_id: str) -> str:
    """The id of the note that a document is being replaced."""
    return str(uuid.uuid5(_SPACE, _SEPARATOR.join((PENDING, document_id))))


def lease_id(holder: str) -> str:
    """The id of the note that somebody holds a collection's lease."""
    return str(uuid.uuid5(_SPACE, _SEPARATOR.join((LEASE, holder))))


def labels(metadata: Mapping[str, str]) -> list[str]:
    return [f"{key}{_SEPARATOR}{value}" for key, value in metadata.items()]


def numbers(metadata: Mapping[str, str]) -> dict[str, float]:
    """Those of the labels that are numbers, by a name that is no path into the payload."""
    found = ((key, number(value)) for key, value in metadata.items())
    return {_number_name(key): value for key, value in found if value is not None}


def number(text: str) -> float | None:
    """The number that a label is; None for none."""
    return float(text) if _NUMBER.fullmatch(text) else None


def _number_name(key: str) -> str:
    return f"n{key.encode().hex()}"


def access(groups: Sequence[str]) -> list[str]:
    """An access list as keywords; none for what everybody may read."""
    return [LISTED, *(f"{_SEPARATOR}{group}" for group in groups)] if groups else []


def readable(groups: Groups, kind: str = "") -> Where:
    """What a caller of these groups may read; of one kind, if that is named."""
    of_kind = [("kind", [kind])] if kind else []
    return Where(of_kind) if groups is None else Where(of_kind, any_of=[_readable(groups)])


def _readable(groups: Sequence[str]) -> list[Where]:
    """Of which one must hold. What was written before there were access lists has none."""
    everybody, named = Where([Empty("access", LISTED)]), [f"{_SEPARATOR}{group}" for group in groups]
    return [everybody, Where([("access", named)])] if named else [everybody]


def where_of(condition: DocumentFilter) -> Where:
    """A caller's filter, over the fields of payloads."""
    groups: list[list[Where]] = [[where_of(each) for each in condition.any]] if condition.any else []
    if condition.groups is not None:
        groups.append(_readable(condition.groups))
    return Where([_matching(each) for each in condition.must], [_matching(each) for each in condition.must_not], groups)


def _matching(condition: Condition) -> FieldTest:
    """A condition as an indexed field and the keywords of which it must have one, or as a number's range."""
    if not condition.field.startswith(LABEL):
        return condition.field, list(condition.any_of)
    key = condition.field[len(LABEL) :]
    if condition.range is not None:
        return Within(f"numbers.{_number_name(key)}", condition.range)
    return "labels", [f"{key}{_SEPARATOR}{value}" for value in condition.any_of]


def passage_payload(entry: PassageRecord, document: Document) -> Payload:
    """A passage's payload; what most have not is left out where it is empty."""
    passage = entry.passage
    leads = {"leads": list(entry.sentences.leads)} if entry.sentences.leads else {}
    page = {"page": passage.page} if passage.page else {}
    return {
        **leads,
        **page,
        "kind": PASSAGE,
        "document_id": passage.document_id,
        "version": document.version,
        "media_type": document.media_type,
        **label_payload(document),
        "headings": list(passage.headings),
        "index": passage.index,
        "start": passage.span[0],
        "end": passage.span[1],
        "text": passage.text,
        "block": passage.kind,
        "spans": _text(np.array(entry.sentences.spans, dtype="<i4").tobytes()),
        "sentences": _text(entry.sentences.vectors),
    }


def passage_of(point_id: str, payload: Mapping[str, Any]) -> Passage:
    return Passage(
        id=point_id,
        document_id=payload["document_id"],
        title=payload["title"],
        uri=payload["uri"],
        headings=payload["headings"],
        index=payload["index"],
        span=(payload["start"], payload["end"]),
        text=payload["text"],
        page=payload.get("page", 0),
        kind=payload.get("block", ""),
    )


def sentences_of(payload: Mapping[str, Any]) -> Sentences:
    spans = np.frombuffer(base64.b64decode(payload["spans"]), dtype="<i4").reshape(-1, 2)
    return Sentences(
        [(start, end) for start, end in spans.tolist()],
        base64.b64decode(payload["sentences"]),
        payload.get("leads", ()),
    )


def label_payload(document: Document) -> Payload:
    """What a document's record and its passages have in common and may change without its content."""
    return {
        "uri": document.uri,
        "title": document.title,
        "labels": labels(document.metadata),
        "numbers": numbers(document.metadata),
        "access": access(document.access_groups),
    }


def document_payload(document: Document) -> Payload:
    return {
        "kind": DOCUMENT,
        "document_id": document.id,
        "version": document.version,
        "media_type": document.media_type,
        **label_payload(document),
        "content_hash": document.content_hash,
        "size_bytes": document.size_bytes,
        "passage_count": document.passage_count,
        "said": dict(document.said),
        "reading": document.reading,
        **changing_payload(document),
    }


def changing_payload(document: Document) -> Payload:
    """What a record alone has and may change without its content."""
    return {"update_time": document.update_time.timestamp(), "metadata": dict(document.metadata)}


def document_of(payload: Mapping[str, Any]) -> Document:
    return Document(
        id=payload["document_id"],
        uri=payload["uri"],
        title=payload["title"],
        media_type=payload["media_type"],
        content_hash=payload["content_hash"],
        size_bytes=payload["size_bytes"],
        passage_count=payload["passage_count"],
        update_time=time_of(payload),
        metadata=payload["metadata"],
        said=payload.get("said") or {},
        reading=payload.get("reading", 1),
        access_groups=tuple(group.removeprefix(_SEPARATOR) for group in payload.get("access", ())[1:]),
    )


def time_of(payload: Mapping[str, Any]) -> datetime:
    """When a document, by its record's payload, was written last."""
    return datetime.fromtimestamp(payload["update_time"], UTC)


def pending_payload(document_id: str) -> Payload:
    return {"kind": PENDING, "document_id": document_id}


def in_order(passages: Sequence[Passage]) -> list[Passage]:
    return sorted(passages, key=lambda passage: passage.index)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
