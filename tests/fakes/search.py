"""A retrieval service that answers Search with what it is told."""

import asyncio
from typing import Any

from headworks.retrieval.v1 import collection_pb2
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1 import retrieval_service_pb2_grpc as pb_grpc

from services.runtime import call as calls
from services.runtime.errors import CollectionNotFound


def hit(number: int, *sentences: str, start: int = 0) -> pb.Hit:
    """A passage of these sentences, one space between them, that begins at `start` of its document."""
    made, at = pb.Hit(score=1 / number), 0
    for sentence in sentences:
        made.sentence_scores.starts.append(at)
        made.sentence_scores.ends.append(at + len(sentence))
        made.sentence_scores.scores.append(0.5 / number)
        at += len(sentence) + 1
    text = " ".join(sentences)
    made.passage.id, made.passage.document_id, made.passage.title = f"d{number}/p", f"d{number}", f"Title {number}"
    made.passage.uri, made.passage.text, made.passage.index = f"file:///d{number}", text, number
    made.passage.span.start, made.passage.span.end = start, start + len(text)
    made.signals.add(signal="dense", score=0.5, rank=number)
    return made


Base: Any = pb_grpc.RetrievalServiceServicer  # whose other methods nobody calls


class FakeRetrieval(Base):  # type: ignore[misc]
    """Holds the collections in `hits`; waits for ever where `hold` is set."""

    def __init__(
        self,
        hits: dict[str, list[pb.Hit]] | None = None,
        *,
        hold: bool = False,
        degraded: bool = False,
        not_reranked: bool = False,
    ) -> None:
        self.hits = hits or {}
        self.degraded = degraded
        self.not_reranked = not_reranked
        self.hold = hold
        self.held = asyncio.Event()
        self.left = asyncio.Event()
        self.calls: list[calls.Call] = []
        self.requests: list[pb.SearchRequest] = []

    async def ListCollections(self, request: Any, context: Any) -> pb.ListCollectionsResponse:  # noqa: N802
        return pb.ListCollectionsResponse(collections=[collection_pb2.Collection(name=name) for name in self.hits])

    async def Search(self, request: pb.SearchRequest, context: Any) -> pb.SearchResponse:  # noqa: N802 (as in the proto)
        self.calls.append(calls.current())
        self.requests.append(request)
        if self.hold:
            self.held.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
        if request.collection not in self.hits:
            raise CollectionNotFound(request.collection)
        response = pb.SearchResponse(
            hits=self.hits[request.collection], degraded=self.degraded, not_reranked=self.not_reranked
        )
        response.timings.add(hop="embed").duration.nanos = 2_000_000
        return response
