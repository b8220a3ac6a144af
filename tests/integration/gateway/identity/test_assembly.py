"""Identity as the settings have it, before a database that goes and comes back."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.identity.assembly import issuer_of, open_credentials
from gateway.identity.credentials import Credentials
from gateway.identity.errors import IdentityStale
from gateway.identity.model import PrincipalKind
from gateway.identity.store import IdentityStore
from gateway.schema.schema import SCHEMA
from gateway.settings import GatewaySettings
from services.runtime.errors import Unauthenticated
from services.runtime.identity import Identity
from services.runtime.records.changes import Changes
from services.runtime.records.database import Database
from tests.fakes.issuer import AUDIENCE, FakeIssuer
from tests.fakes.serving import until
from tests.fixtures.processes import Postgres


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": []}))
    return GatewaySettings(api_keys_file=path, identity_stale_seconds=0.5)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


async def assembled(settings: GatewaySettings, url: str, stack: AsyncExitStack) -> tuple[Credentials, IdentityStore]:
    database = Database(url, SCHEMA, timeout=1)
    await database.open()
    stack.push_async_callback(database.aclose)
    changes = Changes(database, 0.05)
    credentials = await open_credentials(settings, database, changes, stack)
    await changes.open()
    stack.push_async_callback(changes.aclose)
    return credentials, IdentityStore(database)


async def whose(credentials: Credentials, secret: str) -> Identity:
    return await credentials.identify(f"Bearer {secret}", lambda: "10.0.0.1")


async def known(credentials: Credentials, secret: str) -> bool:
    try:
        return (await whose(credentials, secret)).tenant == "acme"
    except (Unauthenticated, IdentityStale):
        return False


async def test_keys_and_tokens(settings: GatewaySettings, records_url: str, stack: AsyncExitStack) -> None:
    fake = await stack.enter_async_context(FakeIssuer().serving())
    told = settings.model_copy(update={"oidc_issuer": fake.url, "oidc_audience": AUDIENCE})
    credentials, store = await assembled(told, records_url, stack)
    await store.tenants.create("acme")
    account = await store.principals.create("acme", PrincipalKind.SERVICE_ACCOUNT, "svc")
    made = await store.keys.create("acme", account.id)
    await until(lambda: known(credentials, made.secret))
    assert (await whose(credentials, fake.token(roles=["user"]))).subject == "ann"


async def test_while_the_database_is_gone_nobody_of_it_is_let_in(
    settings: GatewaySettings, postgres_server: Postgres, postgres_url: str, stack: AsyncExitStack
) -> None:
    credentials, store = await assembled(settings, postgres_url, stack)
    await store.tenants.create("acme")
    account = await store.principals.create("acme", PrincipalKind.SERVICE_ACCOUNT, "svc")
    made = await store.keys.create("acme", account.id)
    await until(lambda: known(credentials, made.secret))
    postgres_server.stop()

    async def closed() -> bool:
        try:
            await whose(credentials, made.secret)
        except IdentityStale:
            return True
        return False

    await until(closed)
    with pytest.raises(IdentityStale):
        await whose(credentials, "hw_unknown")
    postgres_server.start()
    await until(lambda: known(credentials, made.secret))
    await store.keys.revoke("acme", made.key.id)

    async def revoked() -> bool:
        return not await known(credentials, made.secret)

    await until(revoked)


@pytest.mark.parametrize(
    "changes",
    [{"oidc_audience": ""}, {"oidc_algorithms": ("HS256",)}, {"oidc_algorithms": ("none",)}],
)
def test_an_issuer_that_cannot_be_trusted(settings: GatewaySettings, changes: dict[str, Any]) -> None:
    told = {"oidc_issuer": "https://issuer.example", "oidc_audience": AUDIENCE} | changes
    with pytest.raises(ValueError):
        issuer_of(settings.model_copy(update=told))
    assert issuer_of(settings) is None
