"""PostgreSQL crashes under load and comes back: what was promised is on record, once, and the chain holds."""

import asyncio
import signal

from sqlalchemy import func, select
from sqlalchemy.engine import make_url

from gateway.audit.store import AuditFilter
from gateway.audit.tables import HEAD
from services.runtime.records.errors import RecordsUnavailable
from tests.fakes.identity import Keys
from tests.fixtures.audit import ANN, BOB, Audit, entry, open_audit
from tests.fixtures.processes import Postgres


async def append(audit: Audit, first: int, until: asyncio.Event) -> list[int]:
    """Append until told to stop; gives the numbers of the entries that were promised to be on record."""
    promised, number = [], first
    while not until.is_set():
        some = list(range(number, number + 20))
        number += 20
        done = [audit.log.record(entry(each, ANN if each % 2 else BOB)) for each in some]
        results = await asyncio.gather(*done, return_exceptions=True)
        promised += [each for each, result in zip(some, results, strict=True) if result is None]
        assert {type(result) for result in results} <= {type(None), RecordsUnavailable}
    return promised


async def keep_promises(url: str, keys: Keys) -> None:
    """What is committed is there after a crash, as a server in production has it."""
    audit = await open_audit(url, keys)
    await audit.execute(f"ALTER DATABASE {make_url(url).database} SET synchronous_commit = on")
    await audit.aclose()


async def appended(audit: Audit) -> int:
    """How many records were ever appended, to all chains."""
    async with audit.database.read() as connection:
        return int((await connection.execute(select(func.sum(HEAD.c.sequence)))).scalar() or 0)


async def test_a_crash_under_load(postgres_server: Postgres, postgres_url: str, keys: Keys) -> None:
    await keep_promises(postgres_url, keys)
    replicas = [await open_audit(postgres_url, keys) for _ in range(2)]
    stop = asyncio.Event()
    load = asyncio.gather(*(append(audit, number * 1_000_000 + 1, stop) for number, audit in enumerate(replicas)))
    async with asyncio.timeout(60):
        for _ in range(2):
            while await appended(replicas[0]) < 200:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(postgres_server.stop, signal.SIGKILL)
            await asyncio.to_thread(postgres_server.start)
            await replicas[0].log.record(entry())
        stop.set()
        promised = [number for numbers in await load for number in numbers]
    report = await replicas[0].verify()
    assert report.sound, report.findings
    recorded = [one.fields.get("prompt_tokens", 0) async for one in replicas[0].store.all(AuditFilter())]
    told = [number for number in recorded if number]
    assert len(told) == len(set(told))
    assert set(promised) <= set(told)
    assert len(promised) > 200
    for audit in replicas:
        await audit.aclose()
