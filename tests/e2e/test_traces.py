"""One trace for a whole ask, through every service, as an OTLP collector gets it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as pb_grpc

from tests.e2e.conftest import COLLECTION
from tests.e2e.meshes import running, wait_for

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SERVICES = ("gateway", "orchestrator", "retrieval")
EXPECTED = {
    ("headworks-gateway", "POST /v1/chat/completions"),
    ("headworks-orchestrator", "headworks.orchestrator.v1.OrchestratorService/Run"),
    ("headworks-retrieval", "headworks.retrieval.v1.RetrievalService/Search"),
    ("headworks-retrieval", "triton/embed"),
}


class Collector(pb_grpc.TraceServiceServicer):
    """Keeps the service and the name of every span of TRACE."""

    def __init__(self) -> None:
        self.spans: set[tuple[str, str]] = set()

    def Export(self, request: pb.ExportTraceServiceRequest, _: object) -> pb.ExportTraceServiceResponse:  # noqa: N802
        for resource in request.resource_spans:
            attributes = {item.key: item.value.string_value for item in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    if span.trace_id.hex() == TRACE:
                        self.spans.add((attributes["service.name"], span.name))
        return pb.ExportTraceServiceResponse()


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    """A collector, and its address."""
    server = grpc.server(ThreadPoolExecutor(2))
    found = Collector()
    pb_grpc.add_TraceServiceServicer_to_server(found, server)  # type: ignore[no-untyped-call]  # no types in its wheel
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield found, f"http://127.0.0.1:{port}"
    server.stop(None).wait()


def test_one_trace_through_all_services(collector: tuple[Collector, str], tmp_path: Path, handbook: Path) -> None:
    found, endpoint = collector
    env = {f"HEADWORKS_{service.upper()}_OTLP_ENDPOINT": endpoint for service in SERVICES}
    with running(tmp_path / "data", env=env) as mesh:
        assert mesh.command("ingest", ".", "--collection", COLLECTION, cwd=handbook).returncode == 0
        body = {"model": "rag", "messages": [{"role": "user", "content": "Where does the Rhine end?"}]}
        with mesh.http() as http:
            headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
            asked = http.post(
                "/v1/chat/completions", json=body | {"metadata": {"collection": COLLECTION}}, headers=headers
            )
        assert asked.status_code == 200
        wait_for(lambda: found.spans >= EXPECTED, 60, lambda: str(EXPECTED - found.spans))
        assert TRACE in (mesh.data / "logs" / "retrieval-0.log").read_text()
