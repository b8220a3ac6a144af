"""One document, from its bytes to the store."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from services.retrieval import metrics
from services.retrieval.errors import HashMismatch
from services.retrieval.ingest import media
from services.retrieval.ingest.batches import Batches
from services.retrieval.ingest.digest import LONGEST_TITLE, Digest
from services.retrieval.ingest.front_matter import allowed, read_front_matter
from services.retrieval.ingest.locks import Locks
from services.retrieval.ingest.messages import DocumentHead, DocumentOutcome, IngestProgress, Result
from services.retrieval.ingest.readers import Readers
from services.retrieval.ingest.split import TextPiece
from services.retrieval.language.fields import embedded_head
from services.retrieval.language.words import passage_vector
from services.retrieval.model import READING, CollectionKey, Document, Passage, PassageRecord, Sentences, Span
from services.retrieval.store.base import VectorStore
from services.retrieval.store.codec import passage_id
from services.runtime.errors import DomainError
from services.runtime.fairness import Owner
from services.runtime.labels import filled

WINDOW = 64
Report = Callable[[IngestProgress], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """Where documents go, how they are split, and in which stream they come."""

    key: CollectionKey
    max_chars: int
    stream: int = 0

    @property
    def owner(self) -> Owner:
        """Who waits where ingestions share something."""
        return self.key.tenant, self.stream


class CollectionWriter:
    """Makes documents what their bytes say. A document is written by one at a time; its old version stands until the
    new one is whole."""

    def __init__(self, store: VectorStore, batches: Batches, readers: Readers) -> None:
        self._store = store
        self._batches = batches
        self._readers = readers
        self._locks = Locks()

    async def unchanged(self, target: WriteTarget, head: DocumentHead) -> Result | None:
        """The result for a document of which the store has these very bytes, if they were announced."""
        if not head.content_hash:
            return None
        record = await self._store.document(target.key, head.id)
        return await self._known(target, head, record, media.media_type_of(head.media_type, head.id), head.content_hash)

    async def write(self, target: WriteTarget, head: DocumentHead, data: bytes, report: Report) -> Result:
        """Read, split, embed, store. Raises DocumentError where the document is at fault."""
        media_type = media.media_type_of(head.media_type, head.id)
        content_hash = hashlib.sha256(data).hexdigest()
        if head.content_hash and head.content_hash != content_hash:
            raise HashMismatch
        async with self._locks.held((target.key, head.id)):
            record = await self._store.document(target.key, head.id)
            known = await self._known(target, head, record, media_type, content_hash)
            if known:
                return known
            front = read_front_matter(media_type, data)
            digest = await self._readers.read(media_type, data[front.length :], target.max_chars, target.owner)
            said = filled(front.labels, allowed(digest.labels))
            title = head.title or front.title[:LONGEST_TITLE] or digest.title
            document = Document(
                id=head.id,
                uri=head.uri,
                title=title or head.id,
                media_type=media_type,
                content_hash=content_hash,
                size_bytes=len(data),
                passage_count=len(digest.pieces),
                update_time=datetime.now(UTC),
                metadata=filled(head.metadata, said),
                said=said,
            )
            await self._store_all(target, document, replace(digest, title=title), report)
        outcome = DocumentOutcome.REPLACED if record is not None else DocumentOutcome.CREATED
        return Result(head.id, outcome, document.passage_count, encoding=digest.encoding, warnings=digest.warnings)

    async def delete(self, key: CollectionKey, document_id: str) -> None:
        """Delete one document."""
        async with self._locks.held((key, document_id)):
            await self._store.delete(key, [document_id])

    async def delete_unchanged(self, key: CollectionKey, document_id: str, update_time: datetime) -> bool:
        """Delete a document that was written at that time and not since; whether it was."""
        async with self._locks.held((key, document_id)):
            record = await self._store.document(key, document_id)
            if record is None or record.update_time != update_time:
                return False
            await self._store.delete_version(key, record)
            return True

    async def _known(
        self, target: WriteTarget, head: DocumentHead, record: Document | None, media_type: str, content_hash: str
    ) -> Result | None:
        """The result for content that the store has, read as it would be now. New labels on it are written without
        reading it again."""
        if record is None or record.reading != READING:
            return None
        if (record.content_hash, record.media_type) != (content_hash, media_type):
            return None
        metadata = filled(head.metadata, record.said)
        labelled = replace(record, uri=head.uri, title=head.title or record.title, metadata=metadata)
        if labelled == record:
            return Result(head.id, DocumentOutcome.UNCHANGED, record.passage_count)
        await self._store.relabel(target.key, replace(labelled, update_time=datetime.now(UTC)))
        return Result(head.id, DocumentOutcome.REPLACED, record.passage_count)

    async def _store_all(self, target: WriteTarget, document: Document, digest: Digest, report: Report) -> None:
        pieces = digest.pieces
        in_parts = len(pieces) > WINDOW
        try:
            if in_parts:
                await self._store.begin(target.key, document.id)
            for first in range(0, len(pieces), WINDOW):
                entries = await self._embed(target, document, digest, pieces[first : first + WINDOW], first)
                done = first + len(entries)
                with metrics.store_seconds("write"):
                    if done < len(pieces):
                        await self._store.write(target.key, document, entries)
                    else:
                        await self._store.commit(target.key, document, entries)
                metrics.PASSAGES.inc(len(entries))
                if in_parts:
                    await report(IngestProgress(document.id, done, len(pieces)))
        except BaseException:
            if in_parts:
                with suppress(DomainError):
                    await asyncio.shield(self._store.settle(target.key, document.id))
            raise

    async def _embed(
        self, target: WriteTarget, document: Document, digest: Digest, pieces: Sequence[TextPiece], first: int
    ) -> list[PassageRecord]:
        texts = [digest.text[slice(*piece.span)] for piece in pieces]
        heads = [embedded_head(digest.title, piece.headings, text) for piece, text in zip(pieces, texts, strict=True)]
        spans = [_moved(piece.sentences, len(head)) for piece, head in zip(pieces, heads, strict=True)]
        with metrics.embed_seconds("passages"):
            embedded = await self._batches.embed(
                [head + text for head, text in zip(heads, texts, strict=True)], spans, target.owner
            )
        return [
            PassageRecord(
                passage=Passage(
                    id=passage_id(document.id, document.version, first + place),
                    document_id=document.id,
                    title=document.title,
                    uri=document.uri,
                    headings=piece.headings,
                    index=first + place,
                    span=piece.span,
                    text=texts[place],
                    page=piece.page,
                    kind=piece.kind,
                ),
                dense=dense,
                lexical=passage_vector(texts[place], "\n".join((digest.title, *piece.headings))),
                sentences=Sentences(piece.sentences, sentences.vectors, piece.leads),
            )
            for place, (piece, (dense, sentences)) in enumerate(zip(pieces, embedded, strict=True))
        ]


def _moved(spans: Sequence[Span], by: int) -> Sequence[Span]:
    return [(start + by, end + by) for start, end in spans] if by else spans
