"""Everything is handed out and erased, and what breaks off is gone on with."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.audit.entry import Actor, Content
from gateway.audit.store import AuditFilter
from gateway.privacy.model import Counts, DataSubject
from gateway.privacy.own_records import AuditData, IdentityData, UsageData
from gateway.privacy.service import ErasureProgress, ErasureStore, Privacy
from gateway.usage.record import Usage
from gateway.usage.writing import write_usage
from services.runtime.errors import Unavailable
from tests.fakes.identity import Keys
from tests.fakes.serving import until
from tests.fixtures.audit import ANN, BOB, Audit, entry, open_audit

ADMIN = Actor("acme", "root", "key_0", "10.0.0.3")


@dataclass
class FakeHolder:
    """Has `items`, and erases two at a time; breaks before the one numbered `breaks`, once."""

    name: str
    items: list[str]
    breaks: int | None = None
    asked: list[DataSubject] = field(default_factory=list)

    async def export(self, whose: DataSubject) -> AsyncGenerator[dict[str, object], None]:
        for item in self.items:
            yield {"kind": self.name, "item": item}

    async def erase(self, whose: DataSubject) -> AsyncGenerator[Counts, None]:
        self.asked.append(whose)
        erased = 0
        while self.items:
            if erased == self.breaks:
                self.breaks = None
                raise Unavailable("gone")
            erased += len(self.items[:2])
            del self.items[:2]
            yield {self.name: erased}
        yield {self.name: erased}


def privacy(audit: Audit, *holders: FakeHolder) -> Privacy:
    return Privacy(ErasureStore(audit.database), holders, audit.log)


async def steps(erasing: AsyncGenerator[ErasureProgress, None]) -> list[tuple[str, int]]:
    return [(step.kind, step.erased) async for step in erasing]


async def rows(audit: Audit, statement: str) -> list[tuple[object, ...]]:
    async with audit.database.read() as connection:
        return [tuple(row) for row in await connection.execute(text(statement))]


async def test_all_is_handed_out(audit: Audit) -> None:
    rights = privacy(audit, FakeHolder("a", ["1", "2"]), FakeHolder("b", ["3"]))
    assert [item["item"] async for item in rights.export("acme", "ann", ADMIN)] == ["1", "2", "3"]
    (told,) = await audit.store.page(AuditFilter())
    assert (told.fields["action"], told.fields["details"]) == ("data.export", {"of": "subject"})


async def test_all_is_erased_and_told(audit: Audit) -> None:
    forgotten: list[DataSubject] = []
    a, b = FakeHolder("a", ["1", "2", "3"]), FakeHolder("b", ["4"])
    rights = Privacy(ErasureStore(audit.database), [a, b], audit.log, [forgotten.append])
    assert await steps(rights.erase("acme", "ann", ADMIN)) == [("a", 2), ("a", 3), ("b", 1), ("", 0)]
    assert (a.items, b.items, forgotten) == ([], [], [DataSubject("acme", "ann")])
    begun, done = await audit.store.page(AuditFilter())
    assert begun.fields["details"]["state"] == "begun"
    assert done.fields["details"] | {"erasure": ""} == {
        "of": "subject",
        "erasure": "",
        "state": "done",
        "a": "3",
        "b": "1",
    }
    assert await rows(audit, "SELECT subject, state FROM privacy_erasures") == [("", "done")]
    assert all("ann" not in one.record for one in (begun, done))


async def test_what_broke_off_is_gone_on_with(audit: Audit) -> None:
    a, b = FakeHolder("a", ["1"]), FakeHolder("b", ["2", "3", "4"], breaks=2)
    rights = privacy(audit, a, b)
    with pytest.raises(Unavailable):
        await steps(rights.erase("acme", "ann", ADMIN))
    assert await steps(rights.erase("acme", "ann", ADMIN)) == [("b", 3), ("", 0)]
    assert len(a.asked) == 1
    assert len(await rows(audit, "SELECT id FROM privacy_erasures")) == 1


async def test_the_leader_ends_what_nobody_asks_for_again(audit: Audit) -> None:
    a = FakeHolder("a", ["1", "2", "3"], breaks=2)
    rights = privacy(audit, a)
    with pytest.raises(Unavailable):
        await steps(rights.erase("acme", "ann", ADMIN))
    assert await rights.resume(60) == 0
    assert await rights.resume(0) == 1
    assert (a.items, await rights.resume(0)) == ([], 0)


async def test_the_audit_forgets_a_person_and_stays_whole(audit: Audit) -> None:
    for number in range(3):
        await audit.log.record(entry(number, ANN, Content("secret?", "words")))
        await audit.log.record(entry(number, BOB, Content("mine", "too")))
    holder = AuditData(audit.database, audit.store)
    whose = DataSubject("acme", ANN.subject)
    exported = [item async for item in holder.export(whose)]
    assert [(item["kind"], item["prompt"], item["answer"]) for item in exported] == [("audit", "secret?", "words")] * 3
    *_, last = [counts async for counts in holder.erase(whose)]
    assert last == {"audit_content": 3, "audit_actors": 1}
    report = await audit.verify()
    assert (report.sound, report.erased_actors, report.erased_contents) == (True, 3, 3)
    assert not [item async for item in holder.export(whose)]
    assert [item["prompt"] async for item in holder.export(DataSubject("other"))] == ["mine"] * 3
    assert not await rows(audit, "SELECT 1 FROM audit_actors WHERE subject LIKE 'ann%'")


async def test_nobody_goes_on_under_an_erased_name(audit: Audit, second: Audit) -> None:
    await second.log.record(entry(1, ANN))
    (erased,) = await rows(audit, "SELECT ref FROM audit_actors")
    holder = AuditData(audit.database, audit.store)
    assert [counts async for counts in holder.erase(DataSubject("acme"))]
    await until(lambda: not second.log._actors._known)
    await second.log.record(entry(2, ANN))
    (fresh,) = await rows(audit, "SELECT ref FROM audit_actors")
    assert fresh != erased


def usage(number: int, subject: str, tenant: str = "acme") -> Usage:
    return Usage(f"use_{number:014x}", float(number), tenant, "", f"key_{subject}", subject, "rag", completion_tokens=5)


async def test_figures_stay_and_names_go(audit: Audit) -> None:
    async with audit.database.write() as connection:
        mine = [usage(number, "ann") for number in range(5)]
        await write_usage(connection, [*mine, usage(9, "bob"), usage(10, "ann", "other")])
    books = UsageData(audit.database)
    assert len([item async for item in books.export(DataSubject("acme", "ann"))]) == 5
    *_, last = [counts async for counts in books.erase(DataSubject("acme", "ann"))]
    assert last == {"usage": 5, "rate_limits": 0}
    found = await rows(
        audit, "SELECT tenant, subject, key, count(*) FROM usage GROUP BY tenant, subject, key ORDER BY 1, 2"
    )
    assert found == [("acme", "bob", "key_bob", 1), ("acme", "erased", "erased", 5), ("other", "ann", "key_ann", 1)]
    assert await books.expire("acme", "usage", 9e-6) == 5
    *_, last = [counts async for counts in books.erase(DataSubject("acme"))]
    assert last["usage"] == 1
    assert (await rows(audit, "SELECT sum(completion_tokens) FROM usage_daily WHERE tenant = 'acme'"))[0][0] == 30


async def test_a_principal_goes_with_its_keys(audit: Audit) -> None:
    for statement in (
        "INSERT INTO tenants VALUES ('acme', 'Acme', 'active', 1), ('other', 'Other', 'active', 1)",
        "INSERT INTO principals (id, tenant, kind, name, display_name, state, created) VALUES"
        " ('usr_1', 'acme', 'user', 'ann', 'Ann', 'active', 1), ('usr_2', 'acme', 'user', 'bob', 'Bob', 'active', 1),"
        " ('usr_3', 'other', 'user', 'ann', 'Ann', 'active', 1)",
        "INSERT INTO api_keys (id, tenant, project, principal, name, prefix, sha256, roles, scopes, created)"
        " VALUES ('key_1', 'acme', '', 'usr_1', 'laptop', 'hw_1', 'abc', '[]', '[]', 1)",
    ):
        await audit.execute(statement)
    holder = IdentityData(audit.database)
    (item,) = [item async for item in holder.export(DataSubject("acme", "ann"))]
    assert (item["id"], item["is"], item["keys"][0]["id"]) == ("usr_1", "user", "key_1")  # type: ignore[index]
    assert "abc" not in str(item)
    assert [counts async for counts in holder.erase(DataSubject("acme", "ann"))] == [{"principals": 1}]
    assert await rows(audit, "SELECT id FROM principals ORDER BY id") == [("usr_2",), ("usr_3",)]
    assert await rows(audit, "SELECT id FROM api_keys") == []


async def test_nothing_is_left_in_the_file(tmp_path: Path, keys: Keys) -> None:
    file = tmp_path / "records.db"
    audit = await open_audit(f"sqlite:///{file}", keys)
    await audit.log.record(entry(1, ANN, Content("unforgettable")))
    assert [counts async for counts in AuditData(audit.database, audit.store).erase(DataSubject("acme"))]
    await audit.aclose()
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    kept = await asyncio.to_thread(file.read_bytes)
    assert b"unforgettable" not in kept
    assert ANN.subject.encode() not in kept
