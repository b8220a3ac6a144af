"""Policies in the database, on SQLite and PostgreSQL, and how every replica takes them up."""

from pathlib import Path

import pytest
from sqlalchemy import update

from gateway.guard.policies import GuardPolicyBroken, Policies
from gateway.guard.policy import parse
from gateway.guard.store import KIND, GuardPolicyNotFound, GuardStore
from gateway.guard.tables import GUARD_POLICIES
from gateway.guard.terms.library import Library
from services.runtime.errors import InvalidArgument
from services.runtime.records.changes import Changes, bump
from services.runtime.records.database import Database

MASK = "guards: [{guard: terms, stage: output, action: redact, terms: [%s]}]"


def policies(database: Database, terms: Path | None = None) -> Policies:
    return Policies(GuardStore(database), parse(MASK % "default"), Library(terms), None)


def masked(policies: Policies, tenant: str, agent: str) -> str:
    return policies.of(tenant, agent).output().whole("default tenant agent").text


async def test_the_nearest_policy_counts(database: Database) -> None:
    held = policies(database)
    await held.put("acme", "", MASK % "tenant")
    await held.put("acme", "rag", MASK % "agent")
    await held.reload()
    assert masked(held, "acme", "rag") == "default tenant *****"
    assert masked(held, "acme", "other") == "default ****** agent"
    assert masked(held, "zeta", "rag") == "******* tenant agent"


async def test_a_change_reaches_other_replicas(database: Database) -> None:
    here, there = policies(database), policies(database)
    changes = Changes(database)
    changes.follow(KIND, there.reload)
    await changes.open()
    await here.put("acme", "", MASK % "tenant")
    await changes.look()
    assert masked(there, "acme", "x") == "default ****** agent"
    await GuardStore(database).delete("acme", "")
    await changes.look()
    assert masked(there, "acme", "x") == "******* tenant agent"
    await changes.aclose()


async def test_policies_are_listed_by_tenant(database: Database) -> None:
    store = GuardStore(database)
    for tenant, agent in [("b", ""), ("a", "x"), ("a", "")]:
        await store.put(tenant, agent, "guards: []")
    await store.put("a", "x", "guards: [] # anew")
    assert [(each.tenant, each.agent, each.spec) for each in await store.all("a")] == [
        ("a", "", "guards: []"), ("a", "x", "guards: [] # anew"),
    ]  # fmt: skip
    assert len(await store.all()) == 3


async def test_there_must_be_one_to_delete(database: Database) -> None:
    with pytest.raises(GuardPolicyNotFound):
        await GuardStore(database).delete("acme", "rag")


@pytest.mark.parametrize("spec", ["guards: 5", "guards: [{guard: terms, stage: input, lists: [none]}]"])
async def test_what_cannot_be_used_is_not_stored(database: Database, tmp_path: Path, spec: str) -> None:
    held = policies(database, tmp_path)
    with pytest.raises(InvalidArgument):
        await held.put("acme", "", spec)
    assert await GuardStore(database).all() == []


async def test_one_that_breaks_closes_its_own_agents_only(database: Database) -> None:
    held = policies(database)
    await held.put("acme", "rag", MASK % "agent")
    async with database.write() as connection:
        await connection.execute(update(GUARD_POLICIES).values(spec="guards: [{guard: gone}]"))
        await bump(connection, KIND)
    await held.reload()
    with pytest.raises(GuardPolicyBroken):
        held.of("acme", "rag")
    assert masked(held, "acme", "x") == "******* tenant agent"


async def test_an_unchanged_policy_is_not_made_again(database: Database) -> None:
    held = policies(database)
    await held.put("acme", "", MASK % "tenant")
    await held.reload()
    before = held.of("acme", "")
    await held.put("acme", "rag", MASK % "agent")
    await held.reload()
    assert held.of("acme", "") is before
