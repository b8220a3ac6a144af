"""One trace goes through all services; without an exporter nothing is recorded, and the ids travel all the same."""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from functools import partial
from typing import Any

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from services.runtime import call as calls
from services.runtime import tracing
from services.runtime.call import Call
from services.runtime.errors import CollectionNotFound, DomainError, Unavailable
from services.runtime.identity import Identity
from services.runtime.interceptors import CallLayer, Chain, layers
from services.runtime.interceptors.standard import Errors, Trace
from services.runtime.logs import JsonFormatter
from tests.fakes.serving import channel_for, generic

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = (("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"),)

OFF = """
from opentelemetry import trace
from services.runtime import tracing
from services.runtime.settings import TraceExport
provider = tracing.configure("x", "x-0", TraceExport(False))
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


async def served(error: Exception | None = None, method: str = "/test.Outer/Do", **notes: object) -> None:
    """A call of a tenant's, through the layers."""
    call = Call(method, metadata={"x-request-id": "req_7"}, received=1)
    call.identity = Identity("acme", "ann")
    call.notes |= notes

    async def serve() -> None:
        if error is not None:
            raise error

    around: list[CallLayer] = [Trace(lambda _: 418), Errors()]
    with contextlib.suppress(DomainError):
        await Chain(around).around(call, serve)


async def test_a_span_says_what_was_called_by_whom_and_how_it_ended(spans: InMemorySpanExporter) -> None:
    await served(model="chat", run_id="run_1", prompt_tokens=7, completion_tokens=9, finish="stop")
    span, *_ = named(spans, "test.Outer/Do")
    found = dict(span.attributes or {})
    assert found == {
        "rpc.system": "grpc", "rpc.system.name": "grpc", "rpc.service": "test.Outer", "rpc.method": "test.Outer/Do",
        "rpc.grpc.status_code": 0, "rpc.response.status_code": "OK",
        "headworks.tenant": "acme", "headworks.request.id": "req_7", "headworks.run.id": "run_1",
        "headworks.finish_reason": "stop", "gen_ai.request.model": "chat", "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 9,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "code", "fault"),
    [
        (CollectionNotFound("docs"), "NOT_FOUND", False),
        (Unavailable("it is gone"), "UNAVAILABLE", True),
        (RuntimeError("boom"), "INTERNAL", True),
    ],
)
async def test_what_the_caller_did_wrong_is_no_failure_of_the_server(
    spans: InMemorySpanExporter, error: Exception, code: str, fault: bool
) -> None:
    await served(error)
    span, *_ = named(spans, "test.Outer/Do")
    assert span.attributes is not None
    assert span.attributes["rpc.response.status_code"] == code
    assert span.attributes["error.type"]
    assert (span.status.status_code is trace.StatusCode.ERROR) is fault


@pytest.mark.parametrize(("error", "status"), [(None, 200), (CollectionNotFound("docs"), 418)])
async def test_a_span_of_http_has_its_words(spans: InMemorySpanExporter, error: Exception | None, status: int) -> None:
    await served(error, "POST /v1/chat/completions")
    span, *_ = named(spans, "POST /v1/chat/completions")
    assert span.attributes is not None
    assert span.attributes["http.request.method"] == "POST"
    assert span.attributes["http.route"] == "/v1/chat/completions"
    assert span.attributes["http.response.status_code"] == status


async def test_a_models_call_is_the_parent_of_what_is_asked_for_it(spans: InMemorySpanExporter) -> None:
    async def pieces() -> AsyncGenerator[str, None]:
        for piece in "ab":
            with tracing.span(f"piece {piece}"):
                yield_ = piece
            yield yield_

    with tracing.span("run"), tracing.detached("chat small", SpanKind.CLIENT, {"gen_ai.request.model": "small"}) as one:
        async with aclosing(tracing.within(one, pieces())) as steps:
            async for _ in steps:
                assert trace.get_current_span() is not one, "between the steps it is not the present one"
    chat, context, parent = named(spans, "chat small")
    assert parent is not None
    assert parent.span_id == named(spans, "run")[1].span_id
    for name in ("piece a", "piece b"):
        inner = named(spans, name)[2]
        assert inner is not None
        assert inner.span_id == context.span_id
    assert dict(chat.attributes or {}) == {"gen_ai.request.model": "small"}


@pytest.mark.parametrize("value", ["", "garbage", "00-0-0-00", "ff" * 100])
async def test_a_garbled_traceparent_is_ignored(spans: InMemorySpanExporter, value: str) -> None:
    await two_services((("traceparent", value),))
    assert named(spans, "test.Outer/Do")[2] is None


def test_off_by_default_and_ids_travel() -> None:
    done = subprocess.run([sys.executable, "-c", OFF], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", TRACE, TRACE]


RESOURCE = """
from services.runtime import tracing
from services.runtime.settings import TraceExport
provider = tracing.configure("gateway", "gateway-1", TraceExport(False))
found = provider.resource.attributes
print(found["service.name"], found["service.instance.id"], found.get("deployment.environment"))
"""


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "headworks-gateway gateway-1 None"),
        (
            {"OTEL_SERVICE_NAME": "mine", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test"},
            "mine gateway-1 test",
        ),
    ],
)
def test_the_resource_names_the_replica(variables: dict[str, str], said: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")} | variables
    done = subprocess.run(
        [sys.executable, "-c", RESOURCE], capture_output=True, text=True, check=True, timeout=60, env=env
    )
    assert done.stdout.strip() == said
