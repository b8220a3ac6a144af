"""An ingestion against a real server over a socket whose stream breaks now and then."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from headworks.retrieval.v1 import document_pb2
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1 import retrieval_service_pb2_grpc as pb_grpc

from cli.client import Client
from cli.documents import upload
from cli.documents.scan import find_files
from cli.edge import Edge

Result = pb.DocumentResult


class Breaking(pb_grpc.RetrievalServiceServicer):
    """Stores hashes; ends each stream with `code` after `most` results, unless it is over by then."""

    def __init__(self, most: int, code: grpc.StatusCode) -> None:
        self.stored: dict[str, str] = {}
        self.streams = 0
        self._most = most
        self._code = code

    def ListDocuments(  # noqa: N802 (the contract names it)
        self, request: pb.ListDocumentsRequest, context: Any
    ) -> pb.ListDocumentsResponse:
        documents = [document_pb2.Document(id=name, content_hash=found) for name, found in self.stored.items()]
        return pb.ListDocumentsResponse(documents=documents)

    def Ingest(  # noqa: N802 (likewise)
        self, requests: Iterator[pb.IngestRequest], context: Any
    ) -> Iterator[pb.IngestResponse]:
        self.streams += 1
        new, named = 0, set()
        for request in requests:
            if request.WhichOneof("message") != "document":
                continue
            head = request.document
            named.add(head.id)
            known = self.stored.get(head.id) == head.content_hash
            new += not known
            if new > self._most:
                context.abort(self._code, "broken")
            self.stored[head.id] = head.content_hash
            outcome = Result.OUTCOME_UNCHANGED if known else Result.OUTCOME_CREATED
            yield pb.IngestResponse(result=Result(document_id=head.id, outcome=outcome, passage_count=2))
        yield pb.IngestResponse(summary=pb.IngestSummary(deleted=len(self.stored.keys() - named)))


@contextmanager
def client_of(servicer: Breaking) -> Iterator[Client]:
    server = grpc.server(ThreadPoolExecutor(4))
    pb_grpc.add_RetrievalServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Client(Edge(f"http://127.0.0.1:{port}", "hw_x")) as client:
            yield client
    finally:
        server.stop(0).wait()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "RESUME_SECONDS", 0.01)


def ten_files(folder: Path) -> list[Any]:
    for number in range(10):
        (folder / f"{number}.txt").write_text(f"text {number}")
    return find_files(["."], folder).files


NOBODY: Callable[..., None] = lambda *_: None  # noqa: E731 (as short as what it does)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED]
)
def test_a_stream_that_breaks_is_resumed_and_counted_once(tmp_path: Path, code: grpc.StatusCode) -> None:
    servicer = Breaking(4, code)  # type: ignore[abstract]  # what is not asked is not there
    with client_of(servicer) as client:
        opened = pb.IngestOpen(collection="c")
        outcome = upload.Outcome()
        upload.send_all(client, opened, ten_files(tmp_path), 30, NOBODY, outcome)
    assert servicer.streams == 3
    assert outcome.counts() == {"created": 10, "replaced": 0, "unchanged": 0, "deleted": 0, "passages": 20}
    assert outcome.failures() == []


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("most", "code"), [(0, grpc.StatusCode.UNAVAILABLE), (4, grpc.StatusCode.UNAUTHENTICATED)])
def test_one_that_gets_nowhere_is_not(tmp_path: Path, most: int, code: grpc.StatusCode) -> None:
    servicer = Breaking(most, code)  # type: ignore[abstract]  # what is not asked is not there
    with client_of(servicer) as client, pytest.raises(grpc.RpcError):
        upload.send_all(client, pb.IngestOpen(collection="c"), ten_files(tmp_path), 30, NOBODY, upload.Outcome())
    assert servicer.streams == 1
