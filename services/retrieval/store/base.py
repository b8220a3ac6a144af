"""What the service asks of a store."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from services.retrieval.model import (
    Candidates,
    Collection,
    CollectionKey,
    Document,
    Groups,
    Passage,
    PassageRecord,
    Sentences,
    StoreQuery,
)


class VectorStore(Protocol):
    """Collections, their documents and passages.

    Every method but `create`, `describe`, `collections` and `ready` raises CollectionNotFound for an unknown
    collection, and CollectionBroken for one whose data cannot be read; all raise StoreUnavailable where the engine does
    not answer. Those that write, but for deletions, raise StoreFull where the store has too little space. What a method
    has written when it returns outlives the process, however that ends.
    """

    async def create(self, key: CollectionKey, max_chars: int) -> Collection:
        """An empty collection. Raises CollectionExists."""

    async def describe(self, key: CollectionKey, groups: Groups = None) -> Collection:
        """The collection with its counts, of what a caller of these groups may read. Raises CollectionNotFound."""

    async def collections(self, tenant: str) -> Sequence[str]:
        """The names of the tenant's collections, in order."""

    async def drop(self, key: CollectionKey) -> None:
        """Delete the collection with everything in it."""

    async def max_chars(self, key: CollectionKey) -> int:
        """The collection's longest passage, in characters."""

    async def begin(self, key: CollectionKey, document_id: str) -> None:
        """Note that passages of the document are about to be written in parts."""

    async def write(self, key: CollectionKey, document: Document, entries: Sequence[PassageRecord]) -> None:
        """Add passages of a version of the document that `commit` will put on record."""

    async def commit(self, key: CollectionKey, document: Document, entries: Sequence[PassageRecord]) -> None:
        """Add the last passages and the record, in one step; then delete the passages of other versions."""

    async def settle(self, key: CollectionKey, document_id: str) -> None:
        """Delete the passages that are not of the version on record: what a broken-off replacement left."""

    async def relabel(self, key: CollectionKey, document: Document) -> None:
        """Give a document and its passages another uri, title, metadata and access list."""

    async def document(self, key: CollectionKey, document_id: str) -> Document | None:
        """The document's record, if it is there."""

    async def document_ids(self, key: CollectionKey, groups: Groups = None) -> Sequence[str]:
        """The ids of all documents that a caller of these groups may read, in order."""

    async def documents(self, key: CollectionKey, document_ids: Sequence[str]) -> Sequence[Document]:
        """The records of those documents that are there, in the order of the ids."""

    async def passages(self, key: CollectionKey, document_id: str) -> Sequence[Passage]:
        """A document's passages in order."""

    async def delete(self, key: CollectionKey, document_ids: Sequence[str]) -> None:
        """Delete documents with their passages."""

    async def update_times(self, key: CollectionKey, groups: Groups = None) -> Mapping[str, datetime]:
        """When each of the documents that a caller of these groups may read was written last, by id."""

    async def delete_version(self, key: CollectionKey, document: Document) -> None:
        """Delete that version of a document, and no other."""

    async def lease(self, key: CollectionKey, holder: str, seconds: float) -> None:
        """Take the collection's lease: one holder has it at a time. Raises IngestUnderWay."""

    async def renew(self, key: CollectionKey, holder: str, seconds: float) -> None:
        """Keep the lease for some time more. Raises IngestUnderWay where it ran out."""

    async def release(self, key: CollectionKey, holder: str) -> None:
        """Give the lease back."""

    async def candidates(self, key: CollectionKey, probe: StoreQuery) -> Candidates:
        """The passages nearest to the probe by each of its signals."""

    async def fetch(
        self, key: CollectionKey, passage_ids: Sequence[str], with_sentences: bool
    ) -> Mapping[str, tuple[Passage, Sentences | None]]:
        """The passages of those ids that are there."""

    async def recover(self) -> None:
        """Called once, first: clean up after a process that was killed. Raises nothing for a single collection."""

    async def rest(self, key: CollectionKey) -> None:
        """Called after much was written: bring indexes up to date, in the background."""

    async def ready(self) -> bool:
        """Whether the engine answers."""

    async def aclose(self) -> None:
        """Release everything."""
