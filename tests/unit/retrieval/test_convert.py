"""Messages of the protos to the domain's words and back."""

from datetime import UTC, datetime

import pytest
from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from services.retrieval import convert
from services.retrieval.ingest.messages import (
    DocumentChunk,
    DocumentHead,
    DocumentOutcome,
    End,
    Event,
    IngestProgress,
    IngestSummary,
    Message,
    Open,
    Result,
)
from services.retrieval.model import Collection, Condition, Document, DocumentFilter, Passage, SearchMode, SearchRequest
from services.runtime.errors import InvalidArgument

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (pb.IngestRequest(open=pb.IngestOpen(collection="c", delete_missing=True)), Open("c", False, True)),
        (pb.IngestRequest(open=pb.IngestOpen(collection="c", create_collection=True)), Open("c", True, False)),
        (pb.IngestRequest(document=pb.IngestDocument(id="a")), DocumentHead("a")),
        (
            pb.IngestRequest(
                document=pb.IngestDocument(
                    id="a", uri="u", title="t", media_type="m", content_hash="h", metadata={"k": "v"}
                )
            ),
            DocumentHead("a", "u", "t", "m", "h", {"k": "v"}),
        ),
        (pb.IngestRequest(chunk=b"x"), DocumentChunk(b"x")),
        (pb.IngestRequest(chunk=b""), DocumentChunk(b"")),
        (pb.IngestRequest(end=pb.IngestEnd()), End()),
    ],
)
def test_ingest_messages(request_: pb.IngestRequest, message: Message) -> None:
    assert convert.ingest_message(request_) == message


def test_an_ingest_message_without_content_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        convert.ingest_message(pb.IngestRequest())


@pytest.mark.parametrize(
    ("event", "response"),
    [
        (
            Result("a", DocumentOutcome.CREATED, 3),
            pb.IngestResponse(
                result=pb.DocumentResult(document_id="a", outcome=pb.DocumentResult.OUTCOME_CREATED, passage_count=3)
            ),
        ),
        (
            Result("a", DocumentOutcome.FAILED, 0, "R", "m"),
            pb.IngestResponse(
                result=pb.DocumentResult(
                    document_id="a", outcome=pb.DocumentResult.OUTCOME_FAILED, error_reason="R", error_message="m"
                )
            ),
        ),
        (
            IngestProgress("a", 1, 2),
            pb.IngestResponse(progress=pb.IngestProgress(document_id="a", passages_done=1, passages_total=2)),
        ),
        (
            IngestSummary({DocumentOutcome.CREATED: 1, DocumentOutcome.UNCHANGED: 2}, 3, 4),
            pb.IngestResponse(summary=pb.IngestSummary(created=1, unchanged=2, deleted=3, passages=4)),
        ),
    ],
)
def test_ingest_events(event: Event, response: pb.IngestResponse) -> None:
    assert convert.ingest_event(event) == response


def test_every_outcome_has_its_word() -> None:
    assert set(convert.OUTCOMES) == set(DocumentOutcome)
    assert len(set(convert.OUTCOMES.values())) == len(DocumentOutcome)


def test_search_request() -> None:
    request = pb.SearchRequest(
        collection="c",
        query="q",
        limit=7,
        filter=pb.Filter(must=[pb.Condition(field="f", any_of=["a", "b"])], must_not=[pb.Condition(field="g")]),
        mode=pb.SEARCH_MODE_DENSE,
        include_embeddings=True,
    )
    expected = DocumentFilter([Condition("f", ["a", "b"])], [Condition("g", [])])
    assert convert.search_request(request) == SearchRequest("c", "q", 7, expected, SearchMode.DENSE, True)


def test_documents_and_passages() -> None:
    document = convert.document(Document("a", "u", "t", "m", "h", 5, 2, WHEN, {"k": "v"}))
    assert (document.id, document.size_bytes, document.passage_count) == ("a", 5, 2)
    assert document.update_time.ToDatetime(UTC) == WHEN
    assert dict(document.metadata) == {"k": "v"}
    passage = convert.passage(Passage("p", "a", "t", "u", ["h"], 1, (2, 5), "abc"))
    assert (passage.index, passage.span.start, passage.span.end, passage.text) == (1, 2, 5, "abc")


def test_collections() -> None:
    collection = convert.collection(Collection("c", 900, WHEN, 1, 2))
    assert (collection.name, collection.passage_settings.max_chars) == ("c", 900)
    assert (collection.document_count, collection.passage_count) == (1, 2)
    assert collection.create_time.ToDatetime(UTC) == WHEN
