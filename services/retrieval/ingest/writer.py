"""One document, from its bytes to the store."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from services.retrieval import metrics
from services.retrieval.errors import DocumentIdTaken, HashMismatch, IndexRetired, OutsideAccessGroups
from services.retrieval.ingest import media
from services.retrieval.ingest.digest import Digest
from services.retrieval.ingest.front_matter import allowed
from services.retrieval.ingest.locks import Locks
from services.retrieval.ingest.messages import DocumentHead, DocumentOutcome, IngestProgress, Result
from services.retrieval.ingest.readers import Readers
from services.retrieval.ingest.split import TextPiece
from services.retrieval.ingest.vectors import PassageVectors
from services.retrieval.model import READING, CollectionKey, Document, Groups, Index, Passage, Sentences, may_read
from services.retrieval.store.base import VectorStore
from services.retrieval.store.codec import passage_id
from services.runtime.errors import DomainError
from services.runtime.fairness import Owner
from services.runtime.labels import filled

WINDOW = 64
Report = Callable[[IngestProgress], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """Where documents go, how they are split, in which stream they come, and the groups of who sends them."""

    key: CollectionKey
    max_chars: int
    stream: int = 0
    groups: Groups = None

    @property
    def owner(self) -> Owner:
        """Who waits where ingestions share something."""
        return self.key.tenant, self.stream


class CollectionWriter:
    """Makes documents what their bytes say. A document is written by one at a time; its old version stands until the
    new one is whole."""

    def __init__(self, store: VectorStore, vectors: PassageVectors, readers: Readers) -> None:
        self._store = store
        self._vectors = vectors
        self._readers = readers
        self._locks = Locks()

    async def unchanged(self, target: WriteTarget, head: DocumentHead) -> Result | None:
        """The result for a document of which the store has these very bytes, if they were announced. Raises
        DocumentError where the caller may not write it."""
        if not may_read(head.access_groups, target.groups):
            raise OutsideAccessGroups
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
            digest = await self._readers.read(media_type, data, target.max_chars, target.owner)
            said = filled({}, allowed(digest.labels))
            document = Document(
                id=head.id,
                uri=head.uri,
                title=head.title or digest.title or head.name or head.id,
                media_type=media_type,
                content_hash=content_hash,
                size_bytes=len(data),
                passage_count=len(digest.pieces),
                update_time=datetime.now(UTC),
                metadata=filled(head.metadata, said),
                said=said,
                access_groups=head.access_groups,
            )
            await self._store_all(target, document, digest, report)
        outcome = DocumentOutcome.REPLACED if record is not None else DocumentOutcome.CREATED
        return Result(head.id, outcome, document.passage_count, encoding=digest.encoding, warnings=digest.warnings)

    async def set_metadata(self, key: CollectionKey, document_id: str, metadata: Mapping[str, str]) -> None:
        """Give a document other labels, if it is there."""
        async with self._locks.held((key, document_id)):
            record = await self._store.document(key, document_id)
            if record is not None:
                labelled = replace(record, metadata=filled(metadata, record.said), update_time=datetime.now(UTC))
                await self._store.relabel(key, labelled)

    async def delete(self, key: CollectionKey, document_id: str) -> None:
        """Delete one document."""
        async with self._locks.held((key, document_id)):
            await self._store.delete(key, [document_id])

    async def delete_unchanged(
        self, key: CollectionKey, document_id: str, update_time: datetime, groups: Groups
    ) -> bool:
        """Delete a document that was written at that time and not since, and that a caller of these groups may read;
        whether it was."""
        async with self._locks.held((key, document_id)):
            record = await self._store.document(key, document_id)
            if record is None or record.update_time != update_time or not record.readable(groups):
                return False
            await self._store.delete_version(key, record)
            return True

    async def _known(
        self, target: WriteTarget, head: DocumentHead, record: Document | None, media_type: str, content_hash: str
    ) -> Result | None:
        """The result for content that the store has, read as it would be now. New labels on it are written without
        reading it again. Raises DocumentIdTaken where the record is one that the caller may not read, whatever its
        content."""
        if record is not None and not record.readable(target.groups):
            raise DocumentIdTaken(head.id)
        if record is None or record.reading != READING:
            return None
        if (record.content_hash, record.media_type) != (content_hash, media_type):
            return None
        labelled = replace(
            record, uri=head.uri, title=head.title or record.title, metadata=filled(head.metadata, record.said),
            access_groups=head.access_groups,
        )  # fmt: skip
        if labelled == record:
            return Result(head.id, DocumentOutcome.UNCHANGED, record.passage_count)
        await self._store.relabel(target.key, replace(labelled, update_time=datetime.now(UTC)))
        return Result(head.id, DocumentOutcome.REPLACED, record.passage_count)

    async def _store_all(self, target: WriteTarget, document: Document, digest: Digest, report: Report) -> None:
        """Into the generation of the index that is searched; where another one takes its place meanwhile, into that."""
        while True:
            try:
                return await self._store_in(
                    await self._store.current(target.key), target.owner, document, digest, report
                )
            except IndexRetired:
                continue

    async def _store_in(self, index: Index, owner: Owner, document: Document, digest: Digest, report: Report) -> None:
        pieces = digest.pieces
        in_parts = len(pieces) > WINDOW
        try:
            if in_parts:
                await self._store.begin(index, document.id)
            for first in range(0, len(pieces), WINDOW):
                part = pieces[first : first + WINDOW]
                passages = [_passage(document, digest.text, piece, first + n) for n, piece in enumerate(part)]
                sentences = [Sentences(piece.sentences, b"", piece.leads) for piece in part]
                entries = await self._vectors.records(index.embedder, passages, sentences, owner)
                done = first + len(entries)
                with metrics.store_seconds("write"):
                    if done < len(pieces):
                        await self._store.write(index, document, entries)
                    else:
                        await self._store.commit(index, document, entries)
                metrics.PASSAGES.inc(len(entries))
                if in_parts:
                    await report(IngestProgress(document.id, done, len(pieces)))
        except BaseException:
            if in_parts:
                with suppress(DomainError):
                    await asyncio.shield(self._store.settle(index, document.id))
            raise


def _passage(document: Document, text: str, piece: TextPiece, index: int) -> Passage:
    return Passage(
        id=passage_id(document.id, document.version, index),
        document_id=document.id,
        title=document.title,
        uri=document.uri,
        headings=piece.headings,
        index=index,
        span=piece.span,
        text=text[slice(*piece.span)],
        page=piece.page,
        kind=piece.kind,
    )
