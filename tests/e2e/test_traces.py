"""One trace for a whole ask, through every process, as an OTLP collector gets it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import COLLECTION
from tests.e2e.meshes import running, wait_for
from tests.fakes.collector import Collector, Span, collecting

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
EXPECTED = {
    ("headworks-envoy", "envoy-0", "POST /v1/chat/completions"),
    ("headworks-gateway", "gateway-0", "POST /v1/chat/completions"),
    ("headworks-orchestrator", "orchestrator-0", "headworks.orchestrator.v1.OrchestratorService/Run"),
    ("headworks-orchestrator", "orchestrator-0", "invoke_agent rag"),
    ("headworks-retrieval", "retrieval-0", "headworks.retrieval.v1.RetrievalService/Search"),
    ("headworks-retrieval", "retrieval-0", "triton/embed"),
}
QUESTION = "Where does the Rhine end?"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as one:
        yield one


def test_one_trace_through_all_services(collector: Collector, tmp_path: Path, handbook: Path) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=of-the-collector"}
    with running(tmp_path / "data", env=env) as mesh:
        assert mesh.command("ingest", ".", "--collection", COLLECTION, cwd=handbook).returncode == 0
        body = {"model": "rag", "messages": [{"role": "user", "content": QUESTION}]}
        with mesh.http() as http:
            headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
            asked = http.post(
                "/v1/chat/completions", json=body | {"metadata": {"collection": COLLECTION}}, headers=headers
            )
        assert asked.status_code == 200

        def missing() -> set[tuple[str, str, str]]:
            return EXPECTED - {(span.service, span.instance, span.name) for span in collector.of(TRACE)}

        wait_for(lambda: not missing(), 60, lambda: str(missing()))
        assert TRACE in (mesh.data / "logs" / "retrieval-0.log").read_text()
    assert all(each["api-key"] == "of-the-collector" for each in collector.metadata)
    spans = {(span.service, span.name): span for span in collector.of(TRACE)}
    edge, gateway = (spans[f"headworks-{name}", "POST /v1/chat/completions"] for name in ("envoy", "gateway"))
    run, step = spans["headworks-orchestrator", "invoke_agent rag"], spans["headworks-retrieval", "triton/embed"]
    assert gateway.parent == edge.id
    assert gateway.attributes["headworks.tenant"] == run.attributes["headworks.tenant"] == "default"
    assert gateway.attributes["headworks.run.id"] == run.attributes["headworks.run.id"]
    assert gateway.attributes["gen_ai.request.model"] == run.attributes["gen_ai.agent.name"] == "rag"
    assert run.attributes["gen_ai.usage.input_tokens"] > 0
    assert step.attributes["gen_ai.request.model"] == "embed"
    assert all(not said(span) for span in collector.of(TRACE))


def said(span: Span) -> bool:
    """Whether a span has what was asked."""
    return "Rhine" in str(span)
