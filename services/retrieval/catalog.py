"""Collections and documents: what is asked of them besides searching and ingesting."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.retrieval import names
from services.retrieval.embedders import Embedders
from services.retrieval.errors import CollectionBroken, DocumentNotFound, StoreFull
from services.retrieval.ingest.moves import Moves
from services.retrieval.ingest.writer import CollectionWriter
from services.retrieval.model import Caller, Collection, CollectionKey, Document, Passage
from services.retrieval.store.base import VectorStore
from services.runtime.errors import CollectionNotFound, InvalidArgument

T = TypeVar("T")
MOST_NAMES = 100


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list, and the token for the next; "" on the last."""

    items: Sequence[T]
    next_token: str


class Catalog:
    """Serves everything but search and ingestion. All of it is within the caller's tenant, and without the
    documents that the caller may not read.

    Documents are deleted through the writer, so that none is deleted while it is written.
    """

    def __init__(self, store: VectorStore, writer: CollectionWriter, embedders: Embedders, moves: Moves) -> None:
        self._store = store
        self._writer = writer
        self._embedders = embedders
        self._moves = moves

    async def create(self, caller: Caller, name: str, max_chars: int, embedder: str) -> Collection:
        """An empty collection. Raises CollectionExists, InvalidArgument, EmbedderUnknown, EmbedderNotServed."""
        key, longest = _key(caller, name), names.max_chars(max_chars)
        return await self._store.create(key, longest, await self._embedders.chosen(embedder))

    async def reembed(self, caller: Caller, name: str, embedder: str) -> Collection:
        """Begin to move the collection to another embedder, or, where it is the one that it has, stop such a move.

        Raises CollectionNotFound, MoveUnderWay, EmbedderUnknown, EmbedderNotServed.
        """
        key = _key(caller, name)
        await self._moves.start(key, embedder)
        return self._moves.reported(key, await self._store.describe(key, caller.groups))

    async def list_collections(
        self, caller: Caller, page_size: int, token: str, only: Sequence[str] = ()
    ) -> Page[Collection]:
        """Collections by name, broken ones too; those of `only` where it names some. Raises InvalidArgument."""
        if len(only) > MOST_NAMES:
            raise InvalidArgument(f"at most {MOST_NAMES} names", field="names")
        there = await self._store.collections(caller.tenant)
        page = _page([name for name in there if not only or name in only], names.page_size(page_size), token)
        found = []
        for name in page.items:
            try:
                key = _key(caller, name)
                found.append(self._moves.reported(key, await self._store.describe(key, caller.groups)))
            except CollectionNotFound:
                continue
            except CollectionBroken as error:
                found.append(Collection(name, broken=error.why))
            except StoreFull as error:
                found.append(Collection(name, broken=error.message))
        return Page(found, page.next_token)

    async def get_document(
        self, caller: Caller, name: str, document_id: str, with_passages: bool
    ) -> tuple[Document, Sequence[Passage]]:
        """A document, with its passages if asked for. Raises CollectionNotFound, DocumentNotFound."""
        key = _key(caller, name)
        document = await self._readable(caller, key, document_id)
        return document, await self._store.passages(key, document_id) if with_passages else []

    async def delete_document(self, caller: Caller, name: str, document_id: str) -> None:
        """Delete a document. Raises CollectionNotFound, DocumentNotFound."""
        key = _key(caller, name)
        await self._readable(caller, key, document_id)
        await self._writer.delete(key, document_id)

    async def list_documents(self, caller: Caller, name: str, page_size: int, token: str) -> Page[Document]:
        """Documents by id. Raises CollectionNotFound."""
        key = _key(caller, name)
        page = _page(await self._store.document_ids(key, caller.groups), names.page_size(page_size), token)
        return Page(await self._store.documents(key, page.items), page.next_token)

    async def _readable(self, caller: Caller, key: CollectionKey, document_id: str) -> Document:
        """The document. Raises DocumentNotFound, also for one that the caller may not read."""
        document = await self._store.document(key, document_id)
        if document is None or not document.readable(caller.groups):
            raise DocumentNotFound(document_id)
        return document


def _key(caller: Caller, name: str) -> CollectionKey:
    return CollectionKey(caller.tenant, names.collection_name(name))


def _page(ordered: Sequence[str], size: int, token: str) -> Page[str]:
    """What follows the last name of the page before. A token holds that name: it stays right as names come and go."""
    after = _decode(token)
    rest = [name for name in ordered if name > after] if after else ordered
    items = rest[:size]
    return Page(items, _encode(items[-1]) if len(rest) > size else "")


def _encode(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode("ascii")


def _decode(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument("page_token is not one that this service gave") from error
