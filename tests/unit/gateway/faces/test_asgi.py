"""A protocol's application within a call: its streams wait for who reads them."""

import asyncio
from typing import Any

from gateway.faces.http.asgi import MOST_PARTS, AsgiExchange
from services.runtime.call import Call


async def test_a_stream_waits_for_a_caller_who_reads_slowly() -> None:
    sent = 0

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for number in range(3 * MOST_PARTS):
            await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
            sent += 1
        await send({"type": "http.response.body", "body": b""})

    bodies = AsgiExchange(Call("POST /x"), 1).bodies(application, b"{}")
    first = await anext(bodies)
    for _ in range(10 * MOST_PARTS):
        await asyncio.sleep(0)
    assert sent <= MOST_PARTS + 2
    rest = [body.data async for body in bodies]
    assert [first.data, *rest] == [b"data: %d\n\n" % number for number in range(3 * MOST_PARTS)]


async def test_leaving_ends_the_application_and_what_it_streams() -> None:
    closed: list[str] = []

    async def work() -> Any:
        try:
            while True:
                yield "x"
        finally:
            closed.append("work")

    exchange = AsgiExchange(Call("POST /x"), 1)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        try:
            async for _ in exchange.owned(work()):
                await send({"type": "http.response.body", "body": b"data: x\n\n", "more_body": True})
                await receive()
                await asyncio.Event().wait()
        finally:
            closed.append("application")

    bodies = exchange.bodies(application, b"{}")
    assert (await anext(bodies)).data == b"data: x\n\n"
    await bodies.aclose()
    assert closed == ["application", "work"]
