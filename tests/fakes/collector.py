"""An OTLP collector that keeps what it gets."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as pb_grpc


@dataclass(frozen=True)
class Span:
    """A span as it came. Ids are in hexadecimal."""

    service: str
    instance: str
    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]


@dataclass
class Collector(pb_grpc.TraceServiceServicer):
    """`spans` are all that came, `metadata` that of each export."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)

    def Export(self, request: pb.ExportTraceServiceRequest, context: Any) -> pb.ExportTraceServiceResponse:  # noqa: N802
        self.metadata.append({str(key): str(value) for key, value in context.invocation_metadata()})
        for resource in request.resource_spans:
            own = _values(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [
                    Span(
                        own.get("service.name", ""), own.get("service.instance.id", ""), span.name,
                        span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), _values(span.attributes),
                    )
                    for span in scope.spans
                ]  # fmt: skip
        return pb.ExportTraceServiceResponse()

    def of(self, trace: str) -> list[Span]:
        """The spans of a trace."""
        return [span for span in self.spans if span.trace == trace]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens at its `url`, by gRPC."""
    server = grpc.server(ThreadPoolExecutor(2))
    collector = Collector()
    pb_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]  # no types in its wheel
    collector.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait()


def _values(attributes: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value") or "string_value") for item in attributes}
