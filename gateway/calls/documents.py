"""The documents that an answer of the cache rests on: as they were, and whether they still are and may be read."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import grpc
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1 import retrieval_service_pb2_grpc as pb_grpc

from gateway.cache.entry import CachedAnswer, DocumentVersion
from services.runtime import clients
from services.runtime.call import Call, outgoing

MOST_DOCUMENTS = 40
"""That one answer may rest on."""
MOST_STATES = 10_000
ASK_SECONDS = 5.0
STATE_SECONDS = 1.0
GONE = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)


class Documents:
    """All is asked as the call's own caller, who sees what they may read and nothing else. `seconds`: how long it is
    believed what a collection holds."""

    def __init__(self, retrieval: grpc.aio.Channel, seconds: float = STATE_SECONDS) -> None:
        self._stub = pb_grpc.RetrievalServiceStub(retrieval)
        self._seconds = seconds
        self._states: OrderedDict[tuple[object, ...], tuple[float, list[Any]]] = OrderedDict()

    async def state(self, call: Call, collections: Sequence[str]) -> list[Any] | None:
        """What collections hold for the caller: their embedder, which is that of the generation that is searched, and
        how much. None where one cannot be read. Raises AioRpcError."""
        if not collections:
            return []
        who = call.identity
        key = (call.tenant, who.groups, who.scopes, *collections) if who is not None else ()
        known = self._states.get(key)
        if known is not None and known[0] >= time.monotonic():
            return known[1]
        request = pb.ListCollectionsRequest(page_size=len(collections), names=collections)
        listed = (await clients.unary(self._stub.ListCollections(request, **outgoing(ASK_SECONDS, call)))).collections
        if len(listed) < len(set(collections)) or any(each.broken for each in listed):
            return None
        state: list[Any] = [
            [each.name, each.embedder, each.create_time.ToNanoseconds(), each.document_count, each.passage_count]
            for each in listed
        ]
        self._states[key] = time.monotonic() + self._seconds, state
        self._states.move_to_end(key)
        if len(self._states) > MOST_STATES:
            self._states.popitem(last=False)
        return state

    async def versions(
        self, call: Call, collections: Sequence[str], ids: Iterable[str]
    ) -> tuple[DocumentVersion, ...] | None:
        """The documents as they are; None where one is not there, or there are too many. Raises AioRpcError."""
        wanted = list(dict.fromkeys(ids))
        if len(wanted) * max(1, len(collections)) > MOST_DOCUMENTS:
            return None
        looked = [(collection, id_) for id_ in wanted for collection in collections]
        found = await asyncio.gather(*(self._version(call, *one) for one in looked))
        versions = [each for each in found if each is not None]
        return tuple(versions) if {each.id for each in versions} == set(wanted) else None

    async def current(self, call: Call, answer: CachedAnswer) -> bool:
        """Whether all that an answer rests on is as it was, and may be read. Raises AioRpcError."""
        found = await asyncio.gather(*(self._version(call, each.collection, each.id) for each in answer.documents))
        return all(now == then for now, then in zip(found, answer.documents, strict=True))

    async def _version(self, call: Call, collection: str, id_: str) -> DocumentVersion | None:
        request = pb.GetDocumentRequest(collection=collection, document_id=id_)
        try:
            found = await clients.unary(self._stub.GetDocument(request, **outgoing(ASK_SECONDS, call)))
        except grpc.aio.AioRpcError as error:
            if error.code() in GONE:
                return None
            raise
        document = found.document
        return DocumentVersion(collection, id_, document.content_hash, document.update_time.ToNanoseconds())
