"""OpenTelemetry traces. Ids travel always, as W3C traceparent; spans are recorded only where an exporter is set.

Attributes are those of OpenTelemetry's semantic conventions, and `headworks.…` for what they have no name for. Nothing
that was said is one.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, TypeVar

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

if TYPE_CHECKING:
    from services.runtime.settings import TraceExport

Attributes = Mapping[str, AttributeValue | None]
T = TypeVar("T")
TRITON = "inference.GRPCInferenceService"

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("headworks")
_new_ids = RandomIdGenerator()
_exports = True


def configure(service: str, replica: str, export: "TraceExport") -> TracerProvider:
    """Install the tracer provider of this process. Without an exporter it records nothing."""
    global _exports
    _exports = export.on
    own = Resource.create(
        {
            "service.name": f"headworks-{service}",
            "service.namespace": "headworks",
            "service.instance.id": replica,
            "service.version": _version(),
        }
    )
    # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say goes before it.
    resource = own.merge(OTELResourceDetector().detect())
    if not export.on:
        provider = TracerProvider(sampler=ALWAYS_OFF, resource=resource)
    else:
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from services.runtime.spans import RedactingExporter, otlp_exporter

        # None: as OTEL_TRACES_SAMPLER says.
        sampler = None if export.ratio is None else ParentBased(TraceIdRatioBased(export.ratio))
        provider = TracerProvider(sampler=sampler, resource=resource)
        provider.add_span_processor(BatchSpanProcessor(RedactingExporter(otlp_exporter(export))))
    trace.set_tracer_provider(provider)
    return provider


def _start(name: str, context: Context | None, kind: SpanKind) -> Span:
    """A span; where nothing is exported the caller's own ids, or those of a new trace, which travel on."""
    if _exports:
        return _tracer.start_span(name, context=context, kind=kind)
    parent = trace.get_current_span(context)
    if parent.get_span_context().is_valid:
        return parent
    return NonRecordingSpan(SpanContext(_new_ids.generate_trace_id(), _new_ids.generate_span_id(), is_remote=False))


def _version() -> str:
    try:
        return version("headworks")
    except PackageNotFoundError:
        return ""


def extract(metadata: Mapping[str, str]) -> Context | None:
    """The caller's trace and span, if its metadata has them. Its tracestate is free text, which goes nowhere."""
    given = metadata.get("traceparent")
    return _propagator.extract({"traceparent": given}) if given else None


def inject() -> list[tuple[str, str]]:
    """The metadata that carries the present span further down."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return list(carrier.items())


def recording() -> bool:
    """Whether the present span is recorded."""
    return trace.get_current_span().is_recording()


def annotate(attributes: Attributes) -> None:
    """Add to the present span what is known of it."""
    describe(trace.get_current_span(), attributes)


def describe(span: Span, attributes: Attributes) -> None:
    """Add what is known of a span; what is None or empty is not."""
    if span.is_recording():
        span.set_attributes(
            {name: value for name, value in attributes.items() if value is not None and value not in ("", ())}
        )


def fail(span: Span, error: BaseException, kind: str) -> None:
    """Mark a span as failed; `kind` is the error's, for statistics."""
    if span.is_recording():
        span.record_exception(error)
        span.set_attribute("error.type", kind)
        span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")


@contextmanager
def span(
    name: str, kind: SpanKind = SpanKind.INTERNAL, parent: Context | None = None, attributes: Attributes | None = None
) -> Iterator[Span]:
    """A span around a piece of work; an exception marks it as failed and passes."""
    started = _start(name, parent, kind)
    describe(started, attributes or {})
    token = attach(trace.set_span_in_context(started))
    try:
        yield started
    except Exception as error:
        fail(started, error, type(error).__name__)
        raise
    finally:
        detach(token)
        started.end()


@contextmanager
def server_span(name: str, parent: Context | None) -> Iterator[Span]:
    """A span around a call that is served; who serves it says how it ended."""
    started = _start(name, parent, SpanKind.SERVER)
    token = attach(trace.set_span_in_context(started))
    try:
        yield started
    finally:
        detach(token)
        started.end()


@contextmanager
def detached(name: str, kind: SpanKind = SpanKind.INTERNAL, attributes: Attributes | None = None) -> Iterator[Span]:
    """A span around work that is done in steps of different contexts, as an asynchronous generator's is. It is the
    present one only `within` its steps."""
    started = _start(name, None, kind)
    describe(started, attributes or {})
    try:
        yield started
    except Exception as error:
        fail(started, error, type(error).__name__)
        raise
    finally:
        started.end()


def within(span: Span, steps: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The steps, with a recorded `span` as the present one while each of them is made. Who made `steps` closes them."""
    return _within(trace.set_span_in_context(span), steps) if span.is_recording() else steps


async def _within(context: Context, steps: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    while True:
        token = attach(context)
        try:
            step = await anext(steps)
        except StopAsyncIteration:
            return
        finally:
            detach(token)
        yield step


def carried(span: Span) -> str:
    """The traceparent that carries a span further down."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, context=trace.set_span_in_context(span))
    return carrier.get("traceparent", "")


def triton(model: str) -> Attributes:
    """Of a call of Triton."""
    return {"rpc.system.name": "grpc", "rpc.system": "grpc", "rpc.service": TRITON, "gen_ai.request.model": model}


def ids() -> tuple[str, str]:
    """The present trace and span ids in hexadecimal; empty where there is none."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return "", ""
    return format(context.trace_id, "032x"), format(context.span_id, "016x")
