"""Protobuf messages to the domain's words and back. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from headworks.retrieval.v1 import collection_pb2, document_pb2, passage_pb2
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.type.v1 import span_pb2, timing_pb2

from services.retrieval.ingest.messages import (
    DocumentChunk,
    DocumentHead,
    DocumentOutcome,
    End,
    Event,
    Gone,
    IngestProgress,
    IngestSummary,
    Message,
    Open,
    Result,
)
from services.retrieval.model import (
    READING,
    Collection,
    Condition,
    Document,
    DocumentFilter,
    Explanation,
    Hit,
    Move,
    NumberRange,
    Passage,
    SearchMode,
    SearchRequest,
    SearchResult,
    Sentences,
    SentenceScores,
    Span,
)
from services.runtime.errors import InvalidArgument

MODES = {
    pb.SEARCH_MODE_UNSPECIFIED: SearchMode.HYBRID,
    pb.SEARCH_MODE_HYBRID: SearchMode.HYBRID,
    pb.SEARCH_MODE_DENSE: SearchMode.DENSE,
    pb.SEARCH_MODE_LEXICAL: SearchMode.LEXICAL,
}
DEEPEST = 20
OUTCOMES = {
    DocumentOutcome.CREATED: pb.DocumentResult.OUTCOME_CREATED,
    DocumentOutcome.REPLACED: pb.DocumentResult.OUTCOME_REPLACED,
    DocumentOutcome.UNCHANGED: pb.DocumentResult.OUTCOME_UNCHANGED,
    DocumentOutcome.FAILED: pb.DocumentResult.OUTCOME_FAILED,
}


def ingest_message(request: pb.IngestRequest) -> Message:
    """Raises InvalidArgument for a message without content."""
    match request.WhichOneof("message"):
        case "chunk":
            return DocumentChunk(request.chunk)
        case "document":
            head = request.document
            return DocumentHead(
                head.id, head.uri, head.title, head.media_type, head.content_hash, dict(head.metadata),
                tuple(sorted(set(head.access_groups))),
            )  # fmt: skip
        case "end":
            return End()
        case "open":
            opening = request.open
            return Open(opening.collection, opening.create_collection, opening.delete_missing, opening.delete_gone)
        case "gone":
            return Gone(request.gone.id, request.gone.update_time.ToDatetime(UTC))
        case _:
            raise InvalidArgument("a message of an ingestion is one of open, document, chunk, end and gone")


def ingest_event(event: Event) -> pb.IngestResponse:
    match event:
        case Result():
            return pb.IngestResponse(
                result=pb.DocumentResult(
                    document_id=event.document_id,
                    outcome=OUTCOMES[event.outcome],
                    passage_count=event.passage_count,
                    error_reason=event.error_reason,
                    error_message=event.error_message,
                    encoding=event.encoding,
                    warnings=event.warnings,
                )
            )
        case IngestProgress():
            progress = pb.IngestProgress(
                document_id=event.document_id, passages_done=event.done, passages_total=event.total
            )
            return pb.IngestResponse(progress=progress)
        case IngestSummary():
            return pb.IngestResponse(
                summary=pb.IngestSummary(
                    created=event.outcomes.get(DocumentOutcome.CREATED, 0),
                    replaced=event.outcomes.get(DocumentOutcome.REPLACED, 0),
                    unchanged=event.outcomes.get(DocumentOutcome.UNCHANGED, 0),
                    failed=event.outcomes.get(DocumentOutcome.FAILED, 0),
                    deleted=event.deleted,
                    passages=event.passages,
                )
            )


def search_request(request: pb.SearchRequest) -> SearchRequest:
    """Raises InvalidArgument for a mode that does not exist."""
    if request.mode not in MODES:
        raise InvalidArgument(f"there is no search mode {request.mode}")
    return SearchRequest(
        collection=request.collection,
        query=request.query,
        limit=request.limit,
        filter=document_filter(request.filter),
        mode=MODES[request.mode],
        include_embeddings=request.include_embeddings,
        include_sentences=request.include_sentences,
        rerank=request.rerank,
    )


def search_response(result: SearchResult) -> pb.SearchResponse:
    return pb.SearchResponse(
        hits=[_hit(hit) for hit in result.hits],
        query_script=result.script,
        query_vector=() if result.query_vector is None else result.query_vector.tolist(),
        timings=[_timing(hop, seconds) for hop, seconds in result.timings.items()],
        degraded=result.degraded,
        language_trust=result.trust,
        ranking=_ranking(result.explanation),
        not_reranked=result.not_reranked,
    )


def collection(found: Collection) -> collection_pb2.Collection:
    if found.broken:
        return collection_pb2.Collection(name=found.name, broken=found.broken)
    return collection_pb2.Collection(
        name=found.name,
        passage_settings=collection_pb2.PassageSettings(max_chars=found.max_chars),
        document_count=found.document_count,
        passage_count=found.passage_count,
        outdated_document_count=found.outdated_count,
        create_time=timestamp(found.create_time) if found.create_time else None,
        embedder=found.embedder,
        reembedding=_move(found.move) if found.move else None,
    )


def _move(move: Move) -> collection_pb2.Reembedding:
    return collection_pb2.Reembedding(embedder=move.embedder, document_count=move.document_count, waiting=move.waiting)


def document(found: Document) -> document_pb2.Document:
    return document_pb2.Document(
        id=found.id,
        uri=found.uri,
        title=found.title,
        media_type=found.media_type,
        content_hash=found.content_hash if found.reading == READING else "",
        size_bytes=found.size_bytes,
        passage_count=found.passage_count,
        update_time=timestamp(found.update_time),
        metadata=found.metadata,
        access_groups=found.access_groups,
    )


def passage(found: Passage) -> passage_pb2.Passage:
    return passage_pb2.Passage(
        id=found.id,
        document_id=found.document_id,
        title=found.title,
        uri=found.uri,
        headings=found.headings,
        index=found.index,
        span=_span(found.span),
        text=found.text,
        page=found.page,
        kind=found.kind,
    )


def document_filter(given: pb.Filter) -> DocumentFilter:
    """Raises InvalidArgument where it is nested too deep to be looked at."""
    return _filter(given, DEEPEST)


def _filter(given: pb.Filter, depth: int) -> DocumentFilter:
    if not depth:
        raise InvalidArgument("the filter is nested too deep")
    nested = tuple(_filter(one, depth - 1) for one in given.any)
    return DocumentFilter(_conditions(given.must), _conditions(given.must_not), nested)


def _conditions(conditions: Sequence[pb.Condition]) -> list[Condition]:
    return [
        Condition(one.field, list(one.any_of), _range(one.range) if one.HasField("range") else None)
        for one in conditions
    ]


def _range(bounds: pb.NumberRange) -> NumberRange:
    return NumberRange(**{field.name: value for field, value in bounds.ListFields()})


def _hit(hit: Hit) -> pb.Hit:
    return pb.Hit(
        passage=passage(hit.passage),
        score=hit.score,
        signals=[
            pb.SignalScore(signal=part.signal.value, score=part.score, rank=part.rank, contribution=part.contribution)
            for part in hit.signals
        ],
        sentences=_sentences(hit.sentences) if hit.sentences else None,
        sentence_scores=_sentence_scores(hit.sentence_scores) if hit.sentence_scores else None,
    )


def _ranking(explanation: Explanation) -> pb.RankingExplanation:
    return pb.RankingExplanation(
        query_language=explanation.language,
        language_embedded=explanation.language_read,
        weights=[pb.SignalWeight(signal=signal.value, weight=weight) for signal, weight in explanation.weights.items()],
        reason=explanation.reason,
        identifiers=explanation.identifiers,
        unsupported=explanation.unsupported,
    )


def _sentences(sentences: Sentences) -> passage_pb2.SentenceEmbeddings:
    return passage_pb2.SentenceEmbeddings(
        spans=[_span(span) for span in sentences.spans], vectors=sentences.vectors, leads=sentences.leads
    )


def _sentence_scores(sentences: SentenceScores) -> passage_pb2.SentenceScores:
    spans = sentences.spans
    return passage_pb2.SentenceScores(
        starts=[start for start, _ in spans],
        ends=[end for _, end in spans],
        scores=sentences.scores,
        leads=sentences.leads,
    )


def _span(span: Span) -> span_pb2.CharSpan:
    return span_pb2.CharSpan(start=span[0], end=span[1])


def _timing(hop: str, seconds: float) -> timing_pb2.HopTiming:
    return timing_pb2.HopTiming(hop=hop, duration=Duration(nanos=int(seconds % 1 * 1e9), seconds=int(seconds)))


def timestamp(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made
