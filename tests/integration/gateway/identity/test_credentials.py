"""Who a call is by what it brings, and what a stranger costs."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.identity.addresses import FailedAuthenticationLimiter
from gateway.identity.credentials import Credentials
from gateway.identity.directory import Users
from gateway.identity.errors import IdentityStale, TenantSuspended, TooManyAttempts
from gateway.identity.keys import KeyRing
from gateway.identity.model import AccountState, PrincipalKind
from gateway.identity.oidc.keys import Issuer, KeySet
from gateway.identity.oidc.tokens import OidcTokens
from gateway.identity.store import IdentityStore
from services.runtime.errors import Unauthenticated
from services.runtime.identity import Identity
from tests.fakes.issuer import AUDIENCE, FakeIssuer
from tests.integration.gateway.identity.conftest import MakeReplica, Replica

OPERATOR = "hw_" + "a" * 40
BURST = 5


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    digest = hashlib.sha256(OPERATOR.encode()).hexdigest()
    entry = {"id": "root", "prefix": OPERATOR[:11], "sha256": digest, "tenant": "default", "subject": "root"}
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [entry | {"scopes": ["*"]}]}))
    return KeyRing(path)


@pytest.fixture
async def fake() -> AsyncIterator[FakeIssuer]:
    async with FakeIssuer("ES256").serving() as serving:
        yield serving


@pytest.fixture
async def replica(make_replica: MakeReplica, ann: str) -> Replica:
    return await make_replica()


@pytest.fixture
async def callers(ring: KeyRing, replica: Replica, fake: FakeIssuer) -> AsyncIterator[Credentials]:
    issuer = Issuer(fake.url, AUDIENCE)
    keys = KeySet(issuer, least=0)
    users = Users(replica.database, replica.directory)
    limiter = FailedAuthenticationLimiter(per_second=0.001, burst=BURST)
    yield Credentials(ring, replica.directory, OidcTokens(issuer, keys), users, limiter)
    await keys.aclose()


async def ask(callers: Credentials, secret: str, address: str = "10.0.0.1") -> Identity:
    return await callers.identify(f"Bearer {secret}", lambda: address)


async def test_each_kind_of_caller(
    callers: Credentials, store: IdentityStore, replica: Replica, fake: FakeIssuer, ann: str
) -> None:
    made = await store.keys.create("acme", ann)
    await replica.follow()
    operator, by_key = await ask(callers, OPERATOR), await ask(callers, made.secret)
    assert operator == Identity("default", "root", frozenset({"*"}), key="root")
    assert (by_key.tenant, by_key.subject, by_key.key) == ("acme", "ann", made.key.id)
    by_token = await ask(callers, fake.token(sub="eve", roles=["developer", "unheard-of"]))
    assert (by_token.tenant, by_token.subject, by_token.key) == ("acme", "eve", "")
    assert "agents.write:*" in by_token.scopes


async def test_roles_of_the_records_are_added_to_those_of_the_token(
    callers: Credentials, store: IdentityStore, replica: Replica, fake: FakeIssuer
) -> None:
    token = fake.token(sub="eve")
    assert (await ask(callers, token)).scopes == frozenset()
    eve = await store.principals.create("acme", PrincipalKind.USER, "eve")
    await store.roles.put("acme", "reader", ["models.read:*"])
    await store.principals.bind("acme", eve.id, "reader")
    await replica.follow()
    assert (await ask(callers, token)).scopes == {"models.read:*"}
    await store.principals.set_state("acme", eve.id, AccountState.SUSPENDED)
    await replica.follow()
    with pytest.raises(Unauthenticated, match="suspended"):
        await ask(callers, token)
    assert (await ask(callers, fake.token(sub="eva"))).subject == "eva"


async def test_no_token_speaks_for_a_service_account(callers: Credentials, fake: FakeIssuer) -> None:
    assert (await ask(callers, fake.token(sub="ann"))).scopes == frozenset()


async def test_no_token_makes_an_operator(
    callers: Credentials, store: IdentityStore, replica: Replica, fake: FakeIssuer
) -> None:
    assert (await ask(callers, fake.token(roles=["operator"]))).scopes == frozenset()
    eve = await store.principals.create("acme", PrincipalKind.USER, "eve")
    await store.principals.bind("acme", eve.id, "operator")
    await replica.follow()
    assert (await ask(callers, fake.token(sub="eve"))).scopes == {"*"}


async def test_tenants_of_tokens(
    callers: Credentials, store: IdentityStore, replica: Replica, fake: FakeIssuer
) -> None:
    with pytest.raises(Unauthenticated, match="does not exist"):
        await ask(callers, fake.token(tenant="gone"))
    await store.tenants.set_state("acme", AccountState.SUSPENDED)
    await replica.follow()
    with pytest.raises(TenantSuspended):
        await ask(callers, fake.token())


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("", "no API key"),
        ("Bearer", "sent as"),
        ("Bearer ", "sent as"),
        (f"Basic {OPERATOR}", "sent as"),
        (OPERATOR, "sent as"),
        (f"Bearer {OPERATOR}x", "not valid"),
        (f"Bearer {OPERATOR} {OPERATOR}", "not valid"),
        ("Bearer x.y.z", "not valid"),
        ("Bearer sk-1", "not valid"),
    ],
)
async def test_strangers(callers: Credentials, header: str, words: str) -> None:
    with pytest.raises(Unauthenticated, match=words):
        await callers.identify(header, lambda: "10.0.0.1")


async def test_without_an_issuer_a_token_is_no_key(ring: KeyRing, fake: FakeIssuer) -> None:
    alone = Credentials(ring)
    assert (await ask(alone, OPERATOR)).tenant == "default"
    for secret in (fake.token(), OPERATOR + "x"):
        with pytest.raises(Unauthenticated, match="API key is not valid"):
            await ask(alone, secret)


async def test_a_flood_is_stopped_and_hinders_nobody_who_is_known(
    callers: Credentials, store: IdentityStore, replica: Replica, fake: FakeIssuer, ann: str
) -> None:
    made = await store.keys.create("acme", ann)
    await replica.follow()
    token = fake.token()
    await ask(callers, token)
    for number in range(BURST):
        with pytest.raises(Unauthenticated):
            await ask(callers, f"hw_{number}" if number % 2 else f"{number}.x.y")
    asked = len(fake.asked)
    for number in range(100):
        for secret in (f"hw_{number}", fake.token("ES256", {"kid": f"{number}"}), ""):
            with pytest.raises(TooManyAttempts):
                await ask(callers, secret)
    assert len(fake.asked) == asked
    for secret in (OPERATOR, made.secret, token):
        await ask(callers, secret)
    with pytest.raises(Unauthenticated):
        await ask(callers, "hw_x", "10.0.0.2")


async def test_new_tokens_of_a_known_issuer_cost_nothing(callers: Credentials, fake: FakeIssuer) -> None:
    for number in range(BURST * 3):
        assert (await ask(callers, fake.token(sub=f"user-{number}"))).subject == f"user-{number}"


async def test_without_fresh_records_only_the_operators_keys_go_on(
    callers: Credentials, store: IdentityStore, replica: Replica, fake: FakeIssuer, ann: str
) -> None:
    made, token = await store.keys.create("acme", ann), fake.token()
    await replica.follow()
    await ask(callers, made.secret)
    await ask(callers, token)
    replica.stale = 6
    for _ in range(BURST * 2):
        for secret in (made.secret, token, fake.token(sub="other"), "hw_unknown"):
            with pytest.raises(IdentityStale):
                await ask(callers, secret)
    assert (await ask(callers, OPERATOR)).subject == "root"
    replica.stale = 0
    await ask(callers, made.secret)
