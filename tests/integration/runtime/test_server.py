"""A service's process: serving, draining, leaving."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.runtime.channels import open_channel
from services.runtime.settings import ServerSettings
from tests.fakes.serving import channel_for, generic, until


@dataclass
class Process:
    """A service's process and its log so far."""

    process: asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(default_factory=list)

    async def read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            if line.startswith(b"{"):
                self.lines.append(json.loads(line))

    async def says(self, message: str) -> dict[str, Any]:
        found: dict[str, Any] = await until(
            lambda: next((line for line in self.lines if line["message"] == message), None), 20
        )
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)


@asynccontextmanager
async def slow_service(**settings: object) -> AsyncIterator[tuple[Process, Any]]:
    variables = {f"HEADWORKS_SLOW_{name.upper()}": str(value) for name, value in settings.items()}
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.slow_service", env=os.environ | variables, stderr=asyncio.subprocess.PIPE
    )
    process = Process(started)
    reader = asyncio.create_task(process.read())
    try:
        address = (await process.says("serving"))["address"]
        async with open_channel(address) as channel:
            yield process, channel
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()
        await reader


def hold(channel: Any, seconds: float) -> Any:
    return channel.unary_stream("/test.Slow/Hold")(str(seconds).encode())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_draining_finishes_what_is_under_way_and_refuses_the_rest(number: signal.Signals) -> None:
    async with slow_service(drain_seconds=20) as (process, channel):
        under_way = hold(channel, 1)
        assert await under_way.read() == b"begun"
        process.stop(number)
        await process.says("draining")

        async def refused() -> bool:
            async with open_channel((await process.says("serving"))["address"]) as fresh:
                code = await hold(fresh, 0).code()
            return bool(code is grpc.StatusCode.UNAVAILABLE)

        await until(refused)
        assert process.process.returncode is None
        assert await under_way.read() == b"done"
        assert await under_way.code() is grpc.StatusCode.OK
        assert await asyncio.wait_for(process.process.wait(), 60) == 0
        assert [line["message"] for line in process.lines][-2:] == ["resources closed", "stopped"]


async def test_what_does_not_finish_within_the_limit_is_cancelled() -> None:
    async with slow_service(drain_seconds=0.2) as (process, channel):
        under_way = hold(channel, 60)
        assert await under_way.read() == b"begun"
        process.stop()
        assert await under_way.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert await asyncio.wait_for(process.process.wait(), 60) == 0
        messages = [line["message"] for line in process.lines]
    assert messages.index("handler left") < messages.index("served") < messages.index("resources closed")


async def test_logs_and_metrics_of_a_process() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with slow_service(metrics_port=port, replica="slow-7") as (process, channel):
        assert [message async for message in hold(channel, 0)] == [b"begun", b"done"]
        served = await process.says("served")
        with await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/metrics") as page:
            text = page.read().decode()
    assert (await process.says("serving"))["replica"] == "slow-7"
    assert (served["service"], served["method"], served["sent"]) == ("slow", "/test.Slow/Hold", 2)
    assert served["request_id"].startswith("req_")
    assert len(served["trace_id"]) == 32
    assert 'headworks_rpc_handled_total{code="OK",method="/test.Slow/Hold"} 1.0' in text


async def ended(**settings: object) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of a service that ends by itself, and its log."""
    variables = {f"HEADWORKS_SLOW_{name.upper()}": str(value) for name, value in settings.items()}
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.slow_service", env=os.environ | variables, stderr=asyncio.subprocess.PIPE
    )
    process = Process(started)
    try:
        async with asyncio.timeout(60):
            await process.read()
            return await started.wait(), process.lines
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.kill()


@pytest.mark.parametrize("thread", [False, True])
async def test_a_start_that_fails_closes_what_is_open_and_ends(thread: bool) -> None:
    code, lines = await ended(fails="no such database", leaves_a_thread=thread)
    messages = [line["message"] for line in lines if line["level"] != "warning"]
    assert code == 1
    assert messages[:2] == ["resources closed", "cannot start: no such database"]
    assert ("exits with work left in threads" in messages) is thread
    assert [line["threads"] for line in lines if "threads" in line] == (["MainThread, left"] if thread else [])


async def test_a_service_ends_whatever_threads_are_left() -> None:
    async with slow_service(leaves_a_thread=True) as (process, _):
        process.stop()
        assert await asyncio.wait_for(process.process.wait(), 60) == 0
        await process.says("exits with work left in threads")


@pytest.mark.parametrize("which", ["port", "metrics_port"])
async def test_a_service_whose_port_is_taken_says_so_and_ends(which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, lines = await ended(**{which: port})
    assert code == 1
    assert lines[-2]["message"] == "resources closed"
    assert lines[-1]["message"].startswith("cannot start: ")
    assert which == "metrics_port" or str(port) in lines[-1]["message"]


async def test_reflection_lists_the_services() -> None:
    async with slow_service() as (_, channel):
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        response = await call.read()
        call.cancel()
    assert {service.name for service in response.list_services_response.service} == {
        "test.Slow", "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection",
    }  # fmt: skip


async def test_health_of_a_process() -> None:
    async with slow_service() as (_, channel):
        stub = health_pb2_grpc.HealthStub(channel)

        async def serves(name: str) -> bool:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        await until(lambda: serves(""))
        assert await serves("test.Slow")


async def test_calls_over_the_limit_are_refused() -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def wait(request: bytes, context: Any) -> bytes:
        begun.set()
        await release.wait()
        return b""

    app = generic("test.L", {"Do": grpc.unary_unary_rpc_method_handler(wait)}, layers=[])
    async with channel_for(app, settings=ServerSettings(max_concurrent_rpcs=1)) as channel:
        first = channel.unary_unary("/test.L/Do")(b"")
        await begun.wait()
        assert await channel.unary_unary("/test.L/Do")(b"").code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        release.set()
        assert await first == b""


async def test_a_message_over_the_limit_is_refused() -> None:
    async def echo(request: bytes, context: Any) -> bytes:
        return request

    app = generic("test.M", {"Do": grpc.unary_unary_rpc_method_handler(echo)}, layers=[])
    async with channel_for(app, settings=ServerSettings(max_message_bytes=1000)) as channel:
        assert await channel.unary_unary("/test.M/Do")(b"x" * 1000)
        assert await channel.unary_unary("/test.M/Do")(b"x" * 1001).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
