"""The audit over both databases, and what tampers with it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from sqlalchemy import text

from gateway.audit.checkpoints import Checkpoints, Heads
from gateway.audit.entry import Actor, AuditEntry, Content, Decision
from gateway.audit.log import AuditLog
from gateway.audit.seal import Seal
from gateway.audit.store import AuditStore
from gateway.audit.verify import Verifier
from gateway.audit.walk import AuditReport
from gateway.schema.schema import SCHEMA
from services.runtime.records.changes import Changes
from services.runtime.records.database import Database
from services.runtime.records.writer import Writer
from tests.fakes.identity import Keys

ANN = Actor("acme", "ann@example.com", "key_1", "10.0.0.1")
BOB = Actor("other", "bob", "key_2", "10.0.0.2")


@dataclass(frozen=True)
class Audit:
    """One replica's audit, and the database under it."""

    database: Database
    writer: Writer
    changes: Changes
    checkpoints: Checkpoints
    log: AuditLog
    store: AuditStore
    seal: Seal

    async def verify(self, after: int = 0, chain: int = 1, anchor: Heads | None = None) -> AuditReport:
        return await Verifier(self.database, self.seal.check).verify(after, chain, anchor)

    async def execute(self, statement: str, **values: object) -> None:
        """What somebody does who may write to the database."""
        async with self.database.write() as connection:
            await connection.execute(text(statement), values)

    async def fill(self, count: int = 10, **fields: object) -> None:
        """Records of Ann's and Bob's in turn."""
        for number in range(count):
            await self.log.record(entry(number, ANN if number % 2 == 0 else BOB))

    async def aclose(self) -> None:
        await self.log.aclose()
        await self.writer.aclose()
        await self.changes.aclose()
        await self.database.aclose()


def entry(number: int = 0, actor: Actor = ANN, content: Content | None = None) -> AuditEntry:
    return AuditEntry(
        "POST /v1/chat/completions", Decision.ALLOWED, actor, model="rag",
        agent_version=3, prompt_tokens=number, guards=("pii",), content=content,
        details={"note": "mail ann@example.com"},
    )  # fmt: skip


async def open_audit(url: str, keys: Keys) -> Audit:
    database = Database(url, SCHEMA)
    await database.open()
    writer, changes, seal = Writer(database), Changes(database, 0.02), Seal(keys.private_pem)
    checkpoints = Checkpoints(database, seal)
    log = AuditLog(database, writer, changes, checkpoints, attempt_seconds=0, checkpoint_seconds=0)
    await writer.open()
    await changes.open()
    await log.open()
    return Audit(database, writer, changes, checkpoints, log, AuditStore(database), seal)


@pytest.fixture
async def audit(records_url: str, keys: Keys) -> AsyncIterator[Audit]:
    opened = await open_audit(records_url, keys)
    yield opened
    await opened.aclose()


@pytest.fixture
async def second(audit: Audit, records_url: str, keys: Keys) -> AsyncIterator[Audit]:
    """Another replica over the same database."""
    opened = await open_audit(records_url, keys)
    yield opened
    await opened.aclose()
