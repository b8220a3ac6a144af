"""The retriever that asks the retrieval service."""

import grpc
import numpy as np
from headworks.retrieval.v1 import passage_pb2, retrieval_service_pb2, retrieval_service_pb2_grpc

from services.orchestrator.rag.retriever import WIDTH, Found, Passage
from services.orchestrator.runs.events import Span, Timing
from services.runtime import clients, statuses
from services.runtime.call import outgoing, renewed

NAN = float("nan")


class RetrievalClient:
    """Searches over a channel, as the present caller, within what remains of its deadline."""

    def __init__(self, channel: grpc.aio.Channel, timeout: float) -> None:
        self._stub = retrieval_service_pb2_grpc.RetrievalServiceStub(channel)
        self._timeout = timeout

    async def search(self, collection: str, question: str, limit: int) -> Found:
        """Raises DomainError: whatever the service answered."""
        request = retrieval_service_pb2.SearchRequest(
            collection=collection, query=question, limit=limit, include_embeddings=True
        )
        await renewed()
        try:
            response = await clients.unary(self._stub.Search(request, **outgoing(self._timeout)))
        except grpc.aio.AioRpcError as error:
            raise statuses.from_rpc_error(error) from error
        return Found(
            tuple(_passage(hit) for hit in response.hits),
            np.array(response.query_vector, np.float32) if response.query_vector else None,
            tuple(Timing(timing.hop, timing.duration.ToTimedelta().total_seconds()) for timing in response.timings),
        )


def _passage(hit: retrieval_service_pb2.Hit) -> Passage:
    passage: passage_pb2.Passage = hit.passage
    signals = {signal.signal: signal.score for signal in hit.signals}
    return Passage(
        passage.id,
        passage.document_id,
        passage.title,
        passage.uri,
        passage.text,
        passage.span.start,
        hit.score,
        signals.get("dense", NAN),
        signals.get("lexical", NAN),
        tuple(Span(span.start, span.end) for span in hit.sentences.spans),
        np.frombuffer(hit.sentences.vectors, np.int8).reshape(-1, WIDTH),
    )
