"""`python -m tests.fakes.slow_service`: a service in a process of its own, whose method takes as long as it is told."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import grpc

from services.runtime.server import App, opening, run, serve
from services.runtime.settings import ServerSettings

log = logging.getLogger("slow")


class SlowSettings(ServerSettings):
    service: ClassVar[str] = "slow"

    fails: str = ""
    """Why it cannot start; empty starts it."""
    leaves_a_thread: bool = False
    """That runs on when all else has ended."""


async def hold(request: bytes, context: Any) -> AsyncIterator[bytes]:
    """Answer at once, and again after `request` seconds."""
    yield b"begun"
    try:
        await asyncio.sleep(float(request))
    finally:
        log.info("handler left")
    yield b"done"


async def wire(settings: SlowSettings) -> App:
    if settings.leaves_a_thread:
        threading.Thread(target=time.sleep, args=(3600,), name="left").start()
    async with opening() as resources:
        resources.callback(log.info, "resources closed")
        if settings.fails:
            raise ValueError(settings.fails)
    handlers = grpc.method_handlers_generic_handler("test.Slow", {"Hold": grpc.unary_stream_rpc_method_handler(hold)})
    return App(lambda server: server.add_generic_rpc_handlers((handlers,)), ["test.Slow"], resources=resources)


if __name__ == "__main__":
    settings = SlowSettings()
    run(settings, serve(settings, lambda: wire(settings)))
