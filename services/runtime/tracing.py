"""OpenTelemetry traces. Ids travel always, as W3C traceparent; spans are recorded only where an exporter is set."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("headworks")


def configure(service: str, otlp_endpoint: str, sample_ratio: float) -> TracerProvider:
    """Install the tracer provider of this process. An empty endpoint records nothing and exports nothing."""
    sampler = ParentBased(TraceIdRatioBased(sample_ratio)) if otlp_endpoint else ALWAYS_OFF
    provider = TracerProvider(sampler=sampler, resource=Resource.create({"service.name": f"headworks-{service}"}))
    if otlp_endpoint:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from services.runtime.spans import RedactingExporter

        insecure = not otlp_endpoint.startswith("https://")
        exporter = RedactingExporter(OTLPSpanExporter(endpoint=otlp_endpoint, insecure=insecure))
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


def extract(metadata: Mapping[str, str]) -> Context | None:
    """The caller's trace and span, if its metadata has them. Its tracestate is free text, which goes nowhere."""
    given = metadata.get("traceparent")
    return _propagator.extract({"traceparent": given}) if given else None


def inject() -> list[tuple[str, str]]:
    """The metadata that carries the present span further down."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return list(carrier.items())


@contextmanager
def span(name: str, kind: SpanKind = SpanKind.INTERNAL, parent: Context | None = None) -> Iterator[Span]:
    """A span around a piece of work; an exception marks it as failed and passes."""
    started = _tracer.start_span(name, context=parent, kind=kind)
    token = attach(trace.set_span_in_context(started))
    try:
        yield started
    except Exception as error:
        if started.is_recording():
            started.record_exception(error)
            started.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
        raise
    finally:
        detach(token)
        started.end()


@contextmanager
def detached(name: str, kind: SpanKind = SpanKind.INTERNAL) -> Iterator[list[tuple[str, str]]]:
    """A span around work that is done in steps of different contexts, as an asynchronous generator's is.

    It is never the present one; gives the metadata that carries it further down.
    """
    started = _tracer.start_span(name, kind=kind)
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, context=trace.set_span_in_context(started))
    try:
        yield list(carrier.items())
    except Exception as error:
        started.record_exception(error)
        started.set_status(StatusCode.ERROR)
        raise
    finally:
        started.end()


def ids() -> tuple[str, str]:
    """The present trace and span ids in hexadecimal; empty where there is none."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return "", ""
    return format(context.trace_id, "032x"), format(context.span_id, "016x")
