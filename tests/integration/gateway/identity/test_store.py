"""Tenants, projects, principals, roles and keys, as they are kept."""

import asyncio
import time

import pytest
from sqlalchemy import select

from gateway.identity.errors import AlreadyExists, BadName, KeyNotLive, NotFound
from gateway.identity.model import AccountState, PrincipalKind
from gateway.identity.store import IdentityStore
from gateway.identity.tables import API_KEYS, BINDINGS, PRINCIPALS
from services.runtime.errors import InvalidArgument
from services.runtime.records.database import Database

USER, SERVICE = PrincipalKind.USER, PrincipalKind.SERVICE_ACCOUNT


async def test_tenants(store: IdentityStore) -> None:
    made = await store.tenants.create("acme", "Acme Ltd")
    assert (made.id, made.display_name, made.state) == ("acme", "Acme Ltd", AccountState.ACTIVE)
    assert abs(made.created - time.time()) < 60
    await store.tenants.create("beta")
    with pytest.raises(AlreadyExists):
        await store.tenants.create("acme")
    assert [one.id for one in await store.tenants.list()] == ["acme", "beta"]
    assert [one.id for one in await store.tenants.list("acme", 1)] == ["beta"]
    assert (await store.tenants.set_state("acme", AccountState.SUSPENDED)).state is AccountState.SUSPENDED
    assert (await store.tenants.get("acme")).state is AccountState.SUSPENDED
    with pytest.raises(NotFound) as caught:
        await store.tenants.set_state("gone", AccountState.ACTIVE)
    assert caught.value.reason == "TENANT_NOT_FOUND"


@pytest.mark.parametrize("name", ["", "Acme", "a b", "-a", "a" * 64, "a/b", "ä", "a\n", "*"])
async def test_bad_names(store: IdentityStore, name: str) -> None:
    with pytest.raises(BadName):
        await store.tenants.create(name)


async def test_a_deleted_tenant_takes_all_with_it(store: IdentityStore, database: Database, ann: str) -> None:
    await store.keys.create("acme", ann)
    await store.projects.create("acme", "search")
    await store.tenants.delete("acme")
    async with database.read() as connection:
        for table in (PRINCIPALS, BINDINGS, API_KEYS):
            assert (await connection.execute(select(table))).all() == []
    with pytest.raises(NotFound):
        await store.tenants.delete("acme")


async def test_projects(store: IdentityStore, ann: str) -> None:
    made = await store.projects.create("acme", "Search")
    with pytest.raises(AlreadyExists):
        await store.projects.create("acme", "Search")
    with pytest.raises(NotFound):
        await store.projects.create("gone", "Search")
    assert await store.projects.get("acme", made.id) == made
    assert await store.projects.list("acme") == [made]
    key = (await store.keys.create("acme", ann, project=made.id)).key
    await store.projects.delete("acme", made.id)
    assert (await store.keys.get("acme", key.id)).revoked is not None
    with pytest.raises(NotFound):
        await store.projects.get("acme", made.id)


async def test_principals_and_their_roles(store: IdentityStore, ann: str) -> None:
    bob = await store.principals.create("acme", USER, "bob@acme.example", "Bob")
    with pytest.raises(AlreadyExists):
        await store.principals.create("acme", SERVICE, "bob@acme.example")
    assert [one.id for one in await store.principals.list("acme", USER)] == [bob.id]
    assert {one.id for one in await store.principals.list("acme")} == {ann, bob.id}
    with pytest.raises(NotFound):
        await store.principals.bind("acme", bob.id, "nobody")
    await store.roles.put("acme", "reader", ["collections.read:docs"])
    await store.principals.bind("acme", bob.id, "reader")
    with pytest.raises(AlreadyExists):
        await store.principals.bind("acme", bob.id, "reader")
    assert [one.role for one in await store.principals.bindings("acme", bob.id)] == ["reader"]
    await store.roles.delete("acme", "reader")
    assert await store.principals.bindings("acme", bob.id) == []
    with pytest.raises(NotFound):
        await store.principals.unbind("acme", bob.id, "reader")
    assert (await store.principals.set_state("acme", bob.id, AccountState.SUSPENDED)).state is AccountState.SUSPENDED
    await store.principals.delete("acme", bob.id)
    with pytest.raises(NotFound):
        await store.principals.get("acme", bob.id)


async def test_roles(store: IdentityStore, ann: str) -> None:
    await store.roles.put("acme", "reader", ["collections.read:docs"])
    await store.roles.put("acme", "reader", ["collections.read:*"])
    assert (await store.roles.get("acme", "reader")).permissions == {"collections.read:*"}
    listed = [one.name for one in await store.roles.list("acme")]
    assert listed == ["user", "developer", "auditor", "admin", "operator", "reader"]
    assert (await store.roles.get("other", "user")).tenant == ""
    for bad in ("user", "Big Role"):
        with pytest.raises((AlreadyExists, InvalidArgument)):
            await store.roles.put("acme", bad, ["*"])
    with pytest.raises(InvalidArgument):
        await store.roles.put("acme", "reader", ["no permission"])
    with pytest.raises(NotFound):
        await store.roles.put("gone", "reader", ["*"])


async def test_keys(store: IdentityStore, database: Database, ann: str) -> None:
    made = await store.keys.create("acme", ann, name="laptop", roles=["developer"], scopes=["models.call:*"])
    assert made.secret.startswith("hw_")
    assert made.key.prefix == made.secret[:11]
    assert await store.keys.list("acme", ann) == [made.key] == [await store.keys.get("acme", made.key.id)]
    async with database.read() as connection:
        stored = str((await connection.execute(select(API_KEYS))).all())
    assert made.secret not in stored
    assert made.secret[11:] not in stored
    revoked = await store.keys.revoke("acme", made.key.id)
    assert revoked.revoked is not None
    assert (await store.keys.revoke("acme", made.key.id)).revoked == revoked.revoked
    for bad in ({"expires": time.time() - 1}, {"roles": ["x"] * 21}, {"scopes": ["x"]}, {"name": "a\nb"}):
        with pytest.raises(InvalidArgument):
            await store.keys.create("acme", ann, **bad)
    for missing in ({"roles": ["nobody"]}, {"project": "prj_x"}):
        with pytest.raises(NotFound):
            await store.keys.create("acme", ann, **missing)


async def test_a_rotated_key_has_a_successor(store: IdentityStore, ann: str) -> None:
    old = await store.keys.create("acme", ann, name="laptop", scopes=["models.call:*"])
    new = await store.keys.rotate("acme", old.key.id, 60)
    found = await store.keys.get("acme", old.key.id)
    assert found.replaced_by == new.key.id
    assert found.expires is not None
    assert 0 < found.expires - time.time() <= 60
    assert (new.key.name, new.key.scopes, new.key.expires) == ("laptop", ("models.call:*",), None)
    assert new.secret != old.secret
    with pytest.raises(KeyNotLive):
        await store.keys.rotate("acme", old.key.id)
    with pytest.raises(InvalidArgument):
        await store.keys.rotate("acme", new.key.id, -1)
    await store.keys.revoke("acme", new.key.id)
    with pytest.raises(KeyNotLive):
        await store.keys.rotate("acme", new.key.id)


async def test_of_two_rotations_at_once_one_wins(store: IdentityStore, ann: str) -> None:
    old = await store.keys.create("acme", ann)
    results = await asyncio.gather(*(store.keys.rotate("acme", old.key.id) for _ in range(4)), return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in results) == 1
    assert sum(isinstance(one, KeyNotLive) for one in results) == 3
    assert len(await store.keys.list("acme")) == 2


async def test_nothing_of_another_tenant_is_found(store: IdentityStore, ann: str) -> None:
    await store.tenants.create("beta")
    key = (await store.keys.create("acme", ann)).key.id
    project = (await store.projects.create("acme", "search")).id
    await store.roles.put("acme", "reader", ["models.read:*"])
    crossings = [
        store.keys.get("beta", key), store.keys.revoke("beta", key), store.keys.rotate("beta", key),
        store.keys.create("beta", ann), store.principals.get("beta", ann), store.principals.delete("beta", ann),
        store.principals.set_state("beta", ann, AccountState.SUSPENDED), store.principals.bind("beta", ann, "admin"),
        store.principals.unbind("beta", ann, "user"), store.projects.get("beta", project),
        store.projects.delete("beta", project), store.roles.get("beta", "reader"), store.roles.delete("beta", "reader"),
    ]  # fmt: skip
    for crossing in crossings:
        with pytest.raises(NotFound):
            await crossing
    assert (await store.keys.list("beta"), await store.keys.list("beta", ann)) == ([], [])
    assert (await store.principals.list("beta"), await store.projects.list("beta")) == ([], [])
    assert await store.principals.bindings("beta", ann) == []
    assert (await store.keys.get("acme", key)).revoked is None
    assert (await store.principals.get("acme", ann)).state is AccountState.ACTIVE


async def test_groups_of_a_principal(store: IdentityStore) -> None:
    await store.tenants.create("acme")
    made = await store.principals.create("acme", USER, "ann", groups=["staff", "hr", "staff"])
    assert made.groups == ("hr", "staff")
    assert await store.principals.get("acme", made.id) == made
    assert (await store.principals.set_groups("acme", made.id, ["sales"])).groups == ("sales",)
    assert (await store.principals.set_groups("acme", made.id, [])).groups == ()
    with pytest.raises(NotFound):
        await store.principals.set_groups("other", made.id, ["hr"])


@pytest.mark.parametrize("groups", [[""], ["a" * 201], ["a\n"], [f"g{number}" for number in range(201)]])
async def test_groups_have_limits(store: IdentityStore, ann: str, groups: list[str]) -> None:
    with pytest.raises(InvalidArgument, match="groups"):
        await store.principals.set_groups("acme", ann, groups)
    with pytest.raises(InvalidArgument, match="groups"):
        await store.principals.create("acme", USER, "bob", groups=groups)
