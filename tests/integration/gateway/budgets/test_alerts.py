"""Shares of a budget are made known once."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from gateway.budgets.alerts import AlertNotifier
from gateway.budgets.model import BudgetAlert
from tests.integration.gateway.budgets.replicas import Replica, replica


@dataclass
class Hook:
    """A real small HTTP server. `fails`: how many posts it refuses first."""

    fails: int = 0
    url: str = ""
    bodies: list[dict[str, object]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        body = json.loads(await reader.readexactly(length))
        status = "204 No Content"
        if self.fails:
            self.fails -= 1
            status = "503 Service Unavailable"
        else:
            self.bodies.append(body)
        writer.write(f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def hook(fails: int = 0) -> AsyncIterator[Hook]:
    made = Hook(fails)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/alerts"
    async with server:
        yield made


async def told(one: Replica, count: int) -> list[BudgetAlert]:
    """The alerts, once so many are known."""
    async with asyncio.timeout(60):
        while True:
            alerts = [alert for alert in await one.store.alerts("acme") if alert.sent]
            if len(alerts) >= count:
                return alerts
            await asyncio.sleep(0.02)


async def test_each_share_is_told_once_by_all_replicas_together(
    records_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with hook() as posts, AsyncExitStack() as stack:
        replicas = [
            await stack.enter_async_context(replica(records_url, f"gateway-{n}", alert_url=posts.url, patience=5.0))
            for n in range(3)
        ]
        budget = await replicas[0].budget(1_000)
        for one in replicas:
            await one.budgets.reload()
        await asyncio.gather(*(replicas[n % 3].call(10, 10) for n in range(100)))
        alerts = await told(replicas[0], 3)
        assert [alert.percent for alert in alerts] == [100, 80, 50]
        assert {alert.budget for alert in alerts} == {budget}
        assert sorted(int(str(body["percent"])) for body in posts.bodies) == [50, 80, 100]
        logged = [record for record in caplog.records if "a budget reached" in record.message]
        assert len(logged) == 3
        assert {record.levelno for record in logged} == {logging.WARNING}
        assert {getattr(record, "budget", "") for record in logged} == {budget.id}


async def test_a_post_that_fails_is_tried_again(records_url: str) -> None:
    async with hook(fails=2) as posts, replica(records_url, alert_url=posts.url) as one:
        await one.budget(100)
        await one.call(60, 60)
        await told(one, 1)
        assert [body["percent"] for body in posts.bodies] == [50]
        assert posts.bodies[0]["spent"] == 60


async def test_one_call_may_pass_several_shares(records_url: str) -> None:
    async with replica(records_url) as one:
        await one.budget(100)
        await one.call(100, 100)
        assert [alert.percent for alert in await told(one, 3)] == [100, 80, 50]


async def test_an_alert_whose_process_died_is_taken_up_by_another(records_url: str) -> None:
    async with replica(records_url, "dies") as dies, replica(records_url, "lives") as lives:
        await dies.notifier.aclose()
        await dies.budget(100)
        await dies.call(60, 60)
        async with asyncio.timeout(60):
            while not (found := await lives.store.claim_alerts(-1.0)):
                await asyncio.sleep(0.05)
        assert [alert.percent for alert in found] == [50]
        assert not await lives.store.claim_alerts(60.0)
        notifier = AlertNotifier(lives.store)
        await notifier.open()
        notifier.put(found[0])
        await told(lives, 1)
        await notifier.aclose()
