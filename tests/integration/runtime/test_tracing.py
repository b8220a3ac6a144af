"""One trace goes through all services; without an exporter nothing is recorded, and the ids travel all the same."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.runtime import call as calls
from services.runtime.call import Call
from services.runtime.interceptors import layers
from services.runtime.interceptors.standard import Trace
from services.runtime.logs import JsonFormatter
from tests.fakes.serving import channel_for, generic

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = (("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"),)

OFF = """
from opentelemetry import trace
from services.runtime import tracing
provider = tracing.configure("x", "", 1.0)
parent = tracing.extract({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
with tracing.span("work", parent=parent) as span:
    print(span.is_recording(), tracing.ids()[0], tracing.inject()[0][1][3:35])
provider.shutdown()
"""


@pytest.fixture(scope="module")
def provider() -> TracerProvider:
    """The process's own provider, which can be set once only."""
    found = trace.get_tracer_provider()
    if not isinstance(found, TracerProvider):
        found = TracerProvider()
        trace.set_tracer_provider(found)
    return found


@pytest.fixture
def spans(provider: TracerProvider) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    exporter.shutdown()


async def two_services(metadata: tuple[tuple[str, str], ...], *, fail: bool = False) -> list[str]:
    """One service calls the other. Gives the log line of the inner one."""
    lines: list[str] = []

    async def inner(request: bytes, context: Any) -> bytes:
        record = logging.getLogger("t").makeRecord("t", logging.INFO, "f", 1, "hello", (), None)
        lines.append(JsonFormatter("inner").format(record))
        if fail:
            raise RuntimeError("boom")
        return b""

    inner_app = generic("test.Inner", {"Do": grpc.unary_unary_rpc_method_handler(inner)}, layers=layers(None, 10))
    async with channel_for(inner_app) as to_inner:

        async def outer(request: bytes, context: Any) -> bytes:
            await to_inner.unary_unary("/test.Inner/Do")(b"", **calls.outgoing(5))
            return b""

        outer_app = generic("test.Outer", {"Do": grpc.unary_unary_rpc_method_handler(outer)}, layers=layers(None, 10))
        async with channel_for(outer_app) as to_outer:
            await to_outer.unary_unary("/test.Outer/Do")(b"", metadata=metadata).code()
    return lines


def named(
    exporter: InMemorySpanExporter, name: str
) -> tuple[ReadableSpan, trace.SpanContext, trace.SpanContext | None]:
    (span,) = [span for span in exporter.get_finished_spans() if span.name == name]
    context = span.get_span_context()
    assert context is not None
    return span, context, span.parent


async def test_one_trace_through_two_services(spans: InMemorySpanExporter) -> None:
    (line,) = await two_services((*PARENT, ("x-request-id", "req_1")))
    _, outer, outer_parent = named(spans, "test.Outer/Do")
    _, inner, inner_parent = named(spans, "test.Inner/Do")
    assert f"{outer.trace_id:032x}" == f"{inner.trace_id:032x}" == TRACE
    assert outer_parent is not None
    assert f"{outer_parent.span_id:016x}" == "b7ad6b7169203331"
    assert inner_parent is not None
    assert inner_parent.span_id == outer.span_id
    assert f'"trace_id":"{TRACE}"' in line
    assert '"request_id":"req_1"' in line


@pytest.mark.parametrize("given", ["a\tb", "\x7f", " " * 3, "what is said", "x" * 5000, "hw_0123456789abcdef"])
async def test_an_id_that_cannot_be_handed_on_is_replaced(given: str) -> None:
    call = Call("/test.Outer/Do", metadata={"x-request-id": given})
    await Trace().around(call, partial(asyncio.sleep, 0))
    assert call.request_id.isascii()
    assert call.request_id.isprintable()
    assert call.request_id.strip()


async def test_without_a_traceparent_a_trace_begins(spans: InMemorySpanExporter) -> None:
    await two_services(())
    assert named(spans, "test.Outer/Do")[2] is None
    assert named(spans, "test.Inner/Do")[1].trace_id == named(spans, "test.Outer/Do")[1].trace_id


async def test_an_error_marks_the_spans_of_both(spans: InMemorySpanExporter) -> None:
    await two_services((), fail=True)
    for name in ("test.Inner/Do", "test.Outer/Do"):
        assert named(spans, name)[0].status.status_code is trace.StatusCode.ERROR


@pytest.mark.parametrize("value", ["", "garbage", "00-0-0-00", "ff" * 100])
async def test_a_garbled_traceparent_is_ignored(spans: InMemorySpanExporter, value: str) -> None:
    await two_services((("traceparent", value),))
    assert named(spans, "test.Outer/Do")[2] is None


def test_off_by_default_and_ids_travel() -> None:
    done = subprocess.run([sys.executable, "-c", OFF], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", TRACE, TRACE]
