"""What the gate sees of a call, for all four kinds of RPC."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from services.runtime.call import Call
from services.runtime.errors import PermissionDenied
from services.runtime.interceptors import layers
from services.runtime.server import App
from tests.fakes.serving import channel_for, generic

KINDS = ["unary_unary", "unary_stream", "stream_unary", "stream_stream"]


class FakeGate:
    """Lets pass what is not b"no"."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    def admit(self, call: Call, request: Any) -> None:
        self.seen.append((call.method, request))
        if request == b"no":
            raise PermissionDenied("no is no")


async def joined(request: Any) -> bytes:
    return request if isinstance(request, bytes) else b"".join([part async for part in request])


async def one(request: Any, context: Any) -> bytes:
    return await joined(request)


async def many(request: Any, context: Any) -> AsyncIterator[bytes]:
    yield await joined(request)


def app(gate: FakeGate) -> App:
    made = {
        kind: getattr(grpc, f"{kind}_rpc_method_handler")(many if kind.endswith("stream") else one) for kind in KINDS
    }
    served = generic("test.G", made, layers=layers(None, 30))
    return App(served.add, [], layers=served.layers, gate=gate)


async def ask(channel: Any, kind: str, *parts: bytes) -> bytes:
    async def given() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    method = getattr(channel, kind)(f"/test.G/{kind}")
    called = method(given() if kind.startswith("stream") else b"".join(parts))
    return b"".join([each async for each in called]) if kind.endswith("stream") else await called


@pytest.mark.parametrize("kind", KINDS)
async def test_it_sees_the_first_request_and_takes_nothing_away(kind: str) -> None:
    gate = FakeGate()
    async with channel_for(app(gate)) as channel:
        assert await ask(channel, kind, b"a", b"b", b"c") == b"abc"
    assert gate.seen == [(f"/test.G/{kind}", b"a" if kind.startswith("stream") else b"abc")]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_it_refuses_is_not_served(kind: str) -> None:
    async with channel_for(app(FakeGate())) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(channel, kind, b"no")
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.PERMISSION_DENIED, "no is no")


@pytest.mark.parametrize("kind", KINDS[2:])
async def test_a_stream_of_no_requests(kind: str) -> None:
    gate = FakeGate()
    async with channel_for(app(gate)) as channel:
        assert await ask(channel, kind) == b""
    assert gate.seen == [(f"/test.G/{kind}", None)]
