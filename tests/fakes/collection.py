"""A collection in memory, as the client of an ingestion sees it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1.document_pb2 import Document

from cli.errors import CliError

Result = pb.DocumentResult


class Responses:
    """A stream of responses that can be cancelled."""

    def __init__(self, responses: Iterator[pb.IngestResponse]) -> None:
        self._responses = responses

    def __iter__(self) -> Iterator[pb.IngestResponse]:
        return self._responses

    def cancel(self) -> None:
        self._responses.close()  # type: ignore[attr-defined]  # it is a generator


class Refused(grpc.RpcError):
    """A call that ends with a status."""

    def __init__(self, status: grpc.StatusCode) -> None:
        self._status = status

    def code(self) -> grpc.StatusCode:
        return self._status


@dataclass
class FakeCollection:
    """Holds documents by id; those of `refused` fail. `sent` are the ids of those whose bytes came. `error` ends each
    ingestion."""

    documents: dict[str, Document] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    sent: list[str] = field(default_factory=list)
    error: Refused | None = None

    @property
    def retrieval(self) -> "FakeCollection":
        return self

    def explain(self, error: grpc.RpcError) -> CliError:
        return CliError(f"the call ended with {error.code().name}")

    def ListDocuments(self, request: pb.ListDocumentsRequest, timeout: float) -> pb.ListDocumentsResponse:  # noqa: N802
        return pb.ListDocumentsResponse(documents=[self.documents[name] for name in sorted(self.documents)])

    def Ingest(self, requests: Iterator[pb.IngestRequest], timeout: float) -> Responses:  # noqa: N802
        return Responses(self._ingested(requests))

    def _ingested(self, requests: Iterator[pb.IngestRequest]) -> Iterator[pb.IngestResponse]:
        if self.error:
            raise self.error
        head, data, deleted = pb.IngestDocument(), b"", 0
        for request in requests:
            match request.WhichOneof("message"):
                case "document":
                    head, data = request.document, b""
                case "chunk":
                    data += request.chunk
                case "end":
                    yield pb.IngestResponse(result=self._result(head, data))
                case "gone":
                    if self.documents.pop(request.gone.id, None):
                        deleted += 1
        yield pb.IngestResponse(summary=pb.IngestSummary(deleted=deleted))

    def _result(self, head: pb.IngestDocument, data: bytes) -> Any:
        known = self.documents.get(head.id)
        result = Result(document_id=head.id, passage_count=1)
        if known is None or known.content_hash != head.content_hash:
            self.sent.append(head.id)
            if head.id in self.refused or hashlib.sha256(data).hexdigest() != head.content_hash:
                result.outcome, result.error_message = Result.OUTCOME_FAILED, "it is refused"
                return result
        document = Document(
            id=head.id, uri=head.uri, title=head.title or (known.title if known else head.id),
            media_type=head.media_type, content_hash=head.content_hash, metadata=head.metadata,
        )  # fmt: skip
        result.outcome = (
            Result.OUTCOME_CREATED if known is None
            else Result.OUTCOME_UNCHANGED if known == document
            else Result.OUTCOME_REPLACED
        )  # fmt: skip
        self.documents[head.id] = document
        return result
