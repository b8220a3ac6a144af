"""Envoy's spans: whose parents they are, what they say, and what they do not."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.fakes.collector import Collector, collecting
from tests.integration.control.harness import Gateway, Mesh, serving, until_async

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as one:
        yield one


@pytest.fixture(scope="module")
def traced(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    one = Mesh(tmp_path_factory.mktemp("traced"), {"OTLP_ENDPOINT": collector.url})
    with one.control(), one.envoy():
        yield one


@pytest.fixture
async def gateway(traced: Mesh) -> AsyncIterator[Gateway]:
    one = Gateway("gateway-0")
    async with serving(one) as port:
        await traced.set_endpoints("gateway", {"gateway-0": port})
        await traced.healthy(port)
        yield one


@pytest.mark.parametrize("request_id", ["", "of-the-callers-own"], ids=["no id", "an id"])
async def test_envoy_s_span_is_between_the_caller_s_and_the_gateway_s(
    gateway: Gateway, traced: Mesh, collector: Collector, request_id: str
) -> None:
    collector.spans.clear()
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", **({"x-request-id": request_id} if request_id else {})}
    async with httpx.AsyncClient(base_url=traced.url, timeout=20) as http:
        assert (
            await http.post("/v1/chat/completions?key=hw_secretsecret", json={}, headers=headers)
        ).status_code == 200
    await until_async(lambda: bool(collector.of(TRACE)), "the span arrives")
    (span,) = collector.of(TRACE)
    assert (span.service, span.instance, span.parent) == ("headworks-envoy", "envoy-0", CALLER)
    assert gateway.seen[-1]["traceparent"] == f"00-{TRACE}-{span.id}-01"
    assert span.name == "POST /v1/chat/completions"
    assert span.attributes["http.status_code"] == "200"
    assert "hw_secret" not in str(span)


async def test_a_trace_begins_at_envoy(gateway: Gateway, traced: Mesh, collector: Collector) -> None:
    collector.spans.clear()
    async with httpx.AsyncClient(base_url=traced.url, timeout=20) as http:
        await http.get("/v1/models")
    _, trace, parent, sampled = gateway.seen[-1]["traceparent"].split("-")
    await until_async(lambda: bool(collector.of(trace)), f"the span of {trace} arrives; {collector.spans}")
    (span,) = collector.of(trace)
    assert (span.id, span.parent, sampled) == (parent, "", "01")


async def test_a_caller_that_is_not_recorded_is_not(gateway: Gateway, traced: Mesh, collector: Collector) -> None:
    collector.spans.clear()
    async with httpx.AsyncClient(base_url=traced.url, timeout=20) as http:
        await http.get("/v1/models", headers={"traceparent": f"00-{TRACE}-{CALLER}-00"})
        await http.get("/v1/models")
    await until_async(lambda: bool(collector.spans), "the other span arrives")
    assert not collector.of(TRACE)
    assert gateway.seen[-2]["traceparent"].startswith(f"00-{TRACE}-")
    assert gateway.seen[-2]["traceparent"].endswith("-00")
