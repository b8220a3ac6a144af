"""The client's side of an ingestion stream."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from cli.client import Client
from cli.files import LocalFile

CHUNK = 1 << 20
PAGE = 1000


@dataclass
class Outcome:
    """How an ingestion ended, as the server counted it, and each document that failed: id, reason, message."""

    counts: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[str, str, str]] = field(default_factory=list)


class Requests:
    """The messages to send, in order. A file that cannot be read when its turn comes is named and left without bytes,
    which fails it alone; why is kept in `unreadable`."""

    def __init__(self, opened: pb.IngestOpen, files: Iterable[LocalFile], stored: Mapping[str, str]) -> None:
        self._opened = opened
        self._files = files
        self._stored = stored
        self.unreadable: dict[str, str] = {}

    def __iter__(self) -> Iterator[pb.IngestRequest]:
        yield pb.IngestRequest(open=self._opened)
        for file in self._files:
            yield from self._document(file)

    def _document(self, file: LocalFile) -> Iterator[pb.IngestRequest]:
        head = pb.IngestDocument(id=file.id, uri=file.path.absolute().as_uri(), media_type=file.media_type)
        try:
            with file.path.open("rb") as source:
                head.content_hash = hashlib.file_digest(source, "sha256").hexdigest()
                yield pb.IngestRequest(document=head)
                if self._stored.get(file.id) != head.content_hash:
                    source.seek(0)
                    while chunk := source.read(CHUNK):
                        yield pb.IngestRequest(chunk=chunk)
        except OSError as error:
            self.unreadable[file.id] = error.strerror or "cannot be read"
            if not head.content_hash:
                yield pb.IngestRequest(document=head)
        yield pb.IngestRequest(end=pb.IngestEnd())


def stored_hashes(client: Client, collection: str, timeout: float) -> dict[str, str]:
    """The content hash of each document of the collection; empty where there is no such collection."""
    request = pb.ListDocumentsRequest(collection=collection, page_size=PAGE)
    found: dict[str, str] = {}
    while True:
        try:
            page = client.retrieval.ListDocuments(request, timeout=timeout, metadata=client.metadata)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return {}
            raise
        found |= {document.id: document.content_hash for document in page.documents}
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


def send(
    client: Client, requests: Requests, timeout: float, told: Callable[[pb.IngestResponse], None]
) -> Outcome:  # fmt: skip
    """Send everything, telling `told` each message of the server. Raises grpc.RpcError where the stream breaks."""
    outcome = Outcome()
    call: Any = client.retrieval.Ingest(iter(requests), timeout=timeout, metadata=client.metadata)
    try:
        for response in call:
            told(response)
            kind = response.WhichOneof("message")
            if kind == "result" and response.result.outcome == pb.DocumentResult.OUTCOME_FAILED:
                outcome.failures.append(_failure(response.result, requests.unreadable))
            elif kind == "summary":
                outcome.counts = {name.name: getattr(response.summary, name.name)
                                  for name in pb.IngestSummary.DESCRIPTOR.fields}  # fmt: skip
    finally:
        call.cancel()
    return outcome


def _failure(result: pb.DocumentResult, unreadable: Mapping[str, str]) -> tuple[str, str, str]:
    here = unreadable.get(result.document_id)
    if here:
        return result.document_id, "FILE_UNREADABLE", here
    return result.document_id, result.error_reason, result.error_message
