"""Spans leave this process without content, personal data and secrets, as log lines do."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace.status import Status
from opentelemetry.util.types import Attributes, AttributeValue

from services.runtime.redaction import redact, redact_field, redact_traceback

if TYPE_CHECKING:
    from services.runtime.settings import TraceExport

_TRACEBACKS = ("exception.message", "exception.stacktrace")


def otlp_exporter(export: "TraceExport") -> SpanExporter:
    """The exporter that the settings name; what they leave open is as the OTEL_EXPORTER_OTLP_… variables say."""
    if export.http:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

        return HttpExporter()
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

    if not export.endpoint:
        return GrpcExporter()
    return GrpcExporter(endpoint=export.endpoint, insecure=not export.endpoint.startswith("https://"))


class RedactingExporter(SpanExporter):
    """Redacts the attributes, the events and the status of spans on their way to another exporter."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._inner.export([redacted(span) for span in spans])

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


def redacted(span: ReadableSpan) -> ReadableSpan:
    """A copy of the span that may be shown."""
    description = span.status.description
    return ReadableSpan(
        name=redact(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_attributes(span.attributes),
        events=[Event(redact(event.name), _attributes(event.attributes), event.timestamp) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code, redact_traceback(description)) if description else span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _attributes(attributes: Attributes) -> Mapping[str, AttributeValue]:
    return {name: _value(name, value) for name, value in (attributes or {}).items()}


def _value(name: str, value: AttributeValue) -> AttributeValue:
    """`gen_ai.prompt` is judged by its last part, `prompt`."""
    last = name.rpartition(".")[2]
    if isinstance(value, str):
        return redact_traceback(value) if name in _TRACEBACKS else str(redact_field(last, value))
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_value(last, each) for each in value]
    return str(redact_field(last, value))
