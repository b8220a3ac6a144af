"""The client's side of an ingestion stream."""

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import grpc
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1.document_pb2 import Document

from cli.client import Client
from cli.documents.missing import file_is_gone
from cli.documents.sources.source import SourceDocument, sha256_of
from cli.messages import list_all

CHUNK = 1 << 20
# ABORTED: the stream that broke still holds the collection's lease, for some seconds.
RESUMABLE = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.ABORTED,
)
RESUME_SECONDS = 1.0
MOST_IDLE = 15
UNCHANGED = pb.DocumentResult.OUTCOME_UNCHANGED
WRITTEN = (pb.DocumentResult.OUTCOME_CREATED, pb.DocumentResult.OUTCOME_REPLACED)
COUNTED = {
    "created": pb.DocumentResult.OUTCOME_CREATED,
    "replaced": pb.DocumentResult.OUTCOME_REPLACED,
    "unchanged": pb.DocumentResult.OUTCOME_UNCHANGED,
}


@dataclass
class Outcome:
    """How an ingestion ended: each document's result, by id, and how many were deleted. Files that could not be read,
    those that were named and not taken, and what of a source could not be read, by name, each with why.

    Where the stream had to be resumed, what happened to a document first is what counts.
    """

    results: dict[str, pb.DocumentResult] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    not_taken: dict[str, str] = field(default_factory=dict)
    missed: dict[str, str] = field(default_factory=dict)
    deleted: int = 0

    def take(self, response: pb.IngestResponse) -> None:
        """Take in a message of the server."""
        kind = response.WhichOneof("message")
        if kind == "result":
            result = response.result
            if result.document_id not in self.results or result.outcome != UNCHANGED:
                self.results[result.document_id] = result
        elif kind == "summary":
            self.deleted = response.summary.deleted

    def counts(self) -> dict[str, int]:
        """Documents by outcome, and the passages written."""
        counts = {
            name: sum(one.outcome == outcome for one in self.results.values()) for name, outcome in COUNTED.items()
        }
        written = (one.passage_count for one in self.results.values() if one.outcome in WRITTEN)
        return {**counts, "deleted": self.deleted, "passages": sum(written)}

    def stored(self) -> int:
        """How many of the documents are in the collection as they are here."""
        return sum(one.outcome in COUNTED.values() for one in self.results.values())

    def remarks(self) -> list[tuple[str, str, Sequence[str]]]:
        """Each document of which something is to be said: its id, its encoding if that is no Unicode, its warnings."""
        written = (one for one in self.results.values() if one.outcome in WRITTEN)
        legacy = [(one, "" if one.encoding.startswith("utf") else one.encoding) for one in written]
        return [(one.document_id, encoding, list(one.warnings)) for one, encoding in legacy if encoding or one.warnings]

    def failures(self) -> list[tuple[str, str, str]]:
        """Each document that failed: its id, the reason, the message."""
        failed = [one for one in self.results.values() if one.outcome == pb.DocumentResult.OUTCOME_FAILED]
        there = [(one.document_id, one.error_reason, one.error_message) for one in failed
                 if one.document_id not in self.unreadable]  # fmt: skip
        unreadable = [(name, "FILE_UNREADABLE", reason) for name, reason in self.unreadable.items()]
        not_taken = [(name, "FILE_NOT_TAKEN", reason) for name, reason in self.not_taken.items()]
        return there + unreadable + not_taken + [(name, "SOURCE_UNREADABLE", why) for name, why in self.missed.items()]


class Requests:
    """The messages to send, in order. A document that cannot be read when its turn comes is named and left without
    bytes, which fails it alone; why is kept in `unreadable`. Of the documents `gone` those that are, as `is_gone` has
    it then, come last."""

    def __init__(
        self, opened: pb.IngestOpen, documents: Iterable[SourceDocument], stored: Mapping[str, str],
        gone: Iterable[Document] = (), still_gone: Callable[[Document], bool] = file_is_gone,
        groups: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._groups = groups
        self._opened = opened
        self._documents = documents
        self._stored = stored
        self._gone = gone
        self._still_gone = still_gone
        self.unreadable: dict[str, str] = {}

    def __iter__(self) -> Iterator[pb.IngestRequest]:
        yield pb.IngestRequest(open=self._opened)
        for document in self._documents:
            yield from self._document(document)
        for gone in self._gone:
            if self._still_gone(gone):
                yield pb.IngestRequest(gone=pb.IngestGone(id=gone.id, update_time=gone.update_time))

    def _document(self, document: SourceDocument) -> Iterator[pb.IngestRequest]:
        head = pb.IngestDocument(
            id=document.id, uri=document.uri, title=document.title, media_type=document.media_type,
            metadata=document.labels, content_hash=document.content_hash, access_groups=self._groups,
        )  # fmt: skip
        sent = False
        try:
            if not head.content_hash or self._stored.get(document.id) != head.content_hash:
                with document.open() as source:
                    head.content_hash = head.content_hash or sha256_of(source)
                    yield pb.IngestRequest(document=head)
                    sent = True
                    yield from self._chunks(document.id, head.content_hash, source)
        except OSError as error:
            self.unreadable[document.id] = error.strerror or "cannot be read"
        if not sent:
            yield pb.IngestRequest(document=head)
        yield pb.IngestRequest(end=pb.IngestEnd())

    def _chunks(self, document_id: str, content_hash: str, source: BinaryIO) -> Iterator[pb.IngestRequest]:
        """The bytes, unless they are stored already."""
        if self._stored.get(document_id) != content_hash:
            source.seek(0)
            while chunk := source.read(CHUNK):
                yield pb.IngestRequest(chunk=chunk)


def stored_documents(client: Client, collection: str, timeout: float) -> list[Document]:
    """The documents of the collection; none where there is no such collection."""
    list_documents = functools.partial(client.retrieval.ListDocuments, timeout=timeout)
    try:
        return list(list_all(list_documents, pb.ListDocumentsRequest(collection=collection), "documents"))
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.NOT_FOUND:
            return []
        raise


def send_all(
    client: Client, opened: pb.IngestOpen, documents: Sequence[SourceDocument], timeout: float,
    on_response: Callable[[pb.IngestResponse, Outcome], None], outcome: Outcome, gone: Sequence[Document] = (),
    still_gone: Callable[[Document], bool] = file_is_gone, groups: Sequence[str] = (),
) -> None:  # fmt: skip
    """Send the documents, for members of `groups` to read or for everybody, passing each message of the server to
    `on_response`, and delete what is `gone`. What came of it is in `outcome`, however this ends.

    A stream that breaks after some progress is resumed: what is stored by then is not sent again. Raises grpc.RpcError.
    """
    until, idle = time.monotonic() + timeout, 0
    while True:
        before = len(outcome.results)
        try:
            limit = max(0.1, until - time.monotonic())
            stored = {one.id: one.content_hash for one in stored_documents(client, opened.collection, limit)}
            requests = Requests(opened, documents, stored, gone, still_gone, groups)
            _send(client, requests, limit, outcome, on_response)
            return
        except grpc.RpcError as error:
            idle = 0 if len(outcome.results) > before else idle + 1
            late = time.monotonic() + RESUME_SECONDS >= until
            if error.code() not in RESUMABLE or not outcome.results or idle > MOST_IDLE or late:
                raise
            time.sleep(RESUME_SECONDS)


def _send(
    client: Client, requests: Requests, timeout: float, outcome: Outcome,
    on_response: Callable[[pb.IngestResponse, Outcome], None],
) -> None:  # fmt: skip
    call: Any = client.retrieval.Ingest(iter(requests), timeout=timeout)
    try:
        for response in call:
            outcome.take(response)
            on_response(response, outcome)
    finally:
        call.cancel()
        outcome.unreadable |= requests.unreadable
