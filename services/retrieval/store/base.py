"""What the service asks of a store."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol, TypeAlias

from services.retrieval.model import (
    Candidates,
    Collection,
    CollectionKey,
    Document,
    Groups,
    Index,
    Passage,
    PassageRecord,
    Sentences,
    StoreQuery,
)
from services.runtime.embedders import MINILM

Target: TypeAlias = CollectionKey | Index
"""A collection, in the generation of its index that is searched; or in that very generation."""


class VectorStore(Protocol):
    """Collections, their documents and passages.

    Every method but `create`, `describe`, `collections` and `ready` raises CollectionNotFound for an unknown
    collection, and CollectionBroken for one whose data cannot be read; all raise StoreUnavailable where the engine does
    not answer. Those that write, but for deletions, raise StoreFull where the store has too little space. What a method
    has written when it returns outlives the process, however that ends. Given an Index whose generation is gone,
    `begin`, `write`, `commit`, `delete`, `candidates` and `fetch` raise IndexRetired; others that read or write raise
    CollectionNotFound. The first four raise IndexRetired, too, where that generation was searched and is no more.
    """

    async def create(self, key: CollectionKey, max_chars: int, embedder: str = MINILM.name) -> Collection:
        """An empty collection. Raises CollectionExists."""

    async def describe(self, key: CollectionKey, groups: Groups = None) -> Collection:
        """The collection with its counts, of what a caller of these groups may read. Raises CollectionNotFound."""

    async def collections(self, tenant: str) -> Sequence[str]:
        """The names of the tenant's collections, in order."""

    async def drop(self, key: CollectionKey) -> None:
        """Delete the collection with everything in it."""

    async def current(self, key: CollectionKey) -> Index:
        """The generation of the collection's index that is searched."""

    async def next(self, key: CollectionKey) -> Index | None:
        """The generation that is being made, if one is."""

    async def extend(self, key: CollectionKey, embedder: str) -> Index:
        """Begin a further generation, empty, for that embedder."""

    async def switch(self, index: Index) -> None:
        """From here on that generation is searched. Called while the collection is frozen."""

    def frozen(self, key: CollectionKey) -> AbstractAsyncContextManager[None]:
        """Within, nothing is written to the generation that is searched, by this process."""

    async def retired(self, key: CollectionKey) -> Sequence[Index]:
        """The generations that were searched before the present one."""

    async def retire(self, index: Index) -> None:
        """Delete a generation that is not searched."""

    async def moving(self) -> Sequence[CollectionKey]:
        """The collections of all tenants that have more generations than the one that is searched."""

    async def begin(self, key: Target, document_id: str) -> None:
        """Note that passages of the document are about to be written in parts."""

    async def write(self, key: Target, document: Document, entries: Sequence[PassageRecord]) -> None:
        """Add passages of a version of the document that `commit` will put on record."""

    async def commit(self, key: Target, document: Document, entries: Sequence[PassageRecord]) -> None:
        """Add the last passages and the record, in one step; then delete the passages of other versions."""

    async def settle(self, key: Target, document_id: str) -> None:
        """Delete the passages that are not of the version on record: what a broken-off replacement left."""

    async def relabel(self, key: CollectionKey, document: Document) -> None:
        """Give a document and its passages another uri, title, metadata and access list."""

    async def document(self, key: Target, document_id: str) -> Document | None:
        """The document's record, if it is there."""

    async def document_ids(self, key: Target, groups: Groups = None) -> Sequence[str]:
        """The ids of all documents that a caller of these groups may read, in order."""

    async def documents(self, key: Target, document_ids: Sequence[str]) -> Sequence[Document]:
        """The records of those documents that are there, in the order of the ids."""

    async def passages(self, key: Target, document_id: str) -> Sequence[Passage]:
        """A document's passages in order."""

    async def delete(self, key: Target, document_ids: Sequence[str]) -> None:
        """Delete documents with their passages."""

    async def update_times(self, key: Target, groups: Groups = None) -> Mapping[str, datetime]:
        """When each of the documents that a caller of these groups may read was written last, by id."""

    async def delete_version(self, key: CollectionKey, document: Document) -> None:
        """Delete that version of a document, and no other."""

    async def lease(self, key: Target, holder: str, seconds: float) -> None:
        """Take the collection's lease: one holder has it at a time. Raises IngestUnderWay."""

    async def renew(self, key: Target, holder: str, seconds: float) -> None:
        """Keep the lease for some time more. Raises IngestUnderWay where it ran out."""

    async def release(self, key: Target, holder: str) -> None:
        """Give the lease back."""

    async def candidates(self, key: Target, probe: StoreQuery) -> Candidates:
        """The passages nearest to the probe by each of its signals."""

    async def fetch(
        self, key: Target, passage_ids: Sequence[str], with_sentences: bool
    ) -> Mapping[str, tuple[Passage, Sentences | None]]:
        """The passages of those ids that are there."""

    async def recover(self) -> None:
        """Called once, first: clean up after a process that was killed. Raises nothing for a single collection."""

    async def rest(self, key: Target) -> None:
        """Called after much was written: bring indexes up to date, in the background."""

    async def ready(self) -> bool:
        """Whether the engine answers."""

    async def aclose(self) -> None:
        """Release everything."""
