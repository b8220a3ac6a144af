"""The retriever that asks the retrieval service."""

from dataclasses import asdict

import grpc
from headworks.retrieval.v1 import retrieval_service_pb2, retrieval_service_pb2_grpc

from services.orchestrator.domain.document_filter import Condition, DocumentFilter
from services.orchestrator.domain.event import Span, Timing
from services.orchestrator.domain.passage import Found, Passage
from services.runtime import clients, statuses
from services.runtime.call import current, outgoing, renewed
from services.runtime.time_limit import TimeLimit

NAN = float("nan")


class RetrievalClient:
    """Searches over a channel, as the present caller, within what remains of its deadline."""

    def __init__(self, channel: grpc.aio.Channel, limit: TimeLimit) -> None:
        self._stub = retrieval_service_pb2_grpc.RetrievalServiceStub(channel)
        self._limit = limit

    async def search(self, collection: str, question: str, limit: int, only: DocumentFilter, rerank: int = 0) -> Found:
        """Raises DomainError: whatever the service answered."""
        request = retrieval_service_pb2.SearchRequest(
            collection=collection,
            query=question,
            limit=limit,
            include_sentences=True,
            filter=_filter(only),
            rerank=rerank,
        )
        await renewed()
        try:
            with clients.limited(self._limit, current(), "the search"):
                response = await clients.unary(self._stub.Search(request, **outgoing(self._limit.seconds)))
        except grpc.aio.AioRpcError as error:
            raise statuses.from_rpc_error(error) from error
        return found(response)


def _filter(only: DocumentFilter) -> retrieval_service_pb2.Filter:
    return retrieval_service_pb2.Filter(
        must=map(_condition, only.must), must_not=map(_condition, only.must_not), any=map(_filter, only.any)
    )


def _condition(condition: Condition) -> retrieval_service_pb2.Condition:
    return retrieval_service_pb2.Condition(
        field=condition.field,
        any_of=condition.any_of,
        range=retrieval_service_pb2.NumberRange(**asdict(condition.range)) if condition.range else None,
    )


def found(response: retrieval_service_pb2.SearchResponse) -> Found:
    return Found(
        tuple(_passage(hit) for hit in response.hits),
        tuple(Timing(timing.hop, timing.duration.seconds + timing.duration.nanos / 1e9) for timing in response.timings),
        response.degraded,
        response.language_trust if response.HasField("language_trust") else None,
        response.not_reranked,
    )


def _passage(hit: retrieval_service_pb2.Hit) -> Passage:
    passage, sentences = hit.passage, hit.sentence_scores
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
        tuple(map(Span, sentences.starts, sentences.ends)),
        tuple(sentences.scores),
        tuple(sentences.leads),
        tuple(passage.headings),
        passage.page,
    )
