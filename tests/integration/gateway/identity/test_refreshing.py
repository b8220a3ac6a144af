"""Refresh tokens: who can read them, and for whom the gateway exchanges one."""

import base64
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.identity.authenticate import IssuedTokens
from gateway.identity.credentials import Credentials
from gateway.identity.directory import Users
from gateway.identity.errors import IdentityStale, RunIdentityRefused, TenantSuspended
from gateway.identity.keys import KeyRing
from gateway.identity.model import AccountState, PrincipalKind
from gateway.identity.oidc.keys import Issuer, KeySet
from gateway.identity.oidc.tokens import OidcTokens
from gateway.identity.refresh_tokens import RefreshTokens
from gateway.identity.store import IdentityStore
from services.runtime.errors import Unauthenticated
from services.runtime.identity import Identity, TokenSigner, refresh_expiry
from tests.fakes.identity import Keys
from tests.fakes.issuer import AUDIENCE, FakeIssuer
from tests.fakes.renewing import KeysFile
from tests.integration.gateway.identity.conftest import MakeReplica, Replica

ANN = Identity("acme", "ann", frozenset({"*"}), key="key_1", roles=("developer",), claims=(("department", ("hydro",)),))


@pytest.fixture
def refresh_tokens(keys: Keys) -> RefreshTokens:
    return RefreshTokens(keys.private_pem, 600)


@pytest.fixture
async def replica(make_replica: MakeReplica, ann: str) -> Replica:
    return await make_replica()


@pytest.fixture
async def tokens(
    keys: Keys, refresh_tokens: RefreshTokens, replica: Replica, tmp_path: Path
) -> AsyncIterator[IssuedTokens]:
    """Of a gateway that knows an operator's file, the keys of the database, and the users of an issuer."""
    async with FakeIssuer("ES256").serving() as fake:
        issuer = Issuer(fake.url, AUDIENCE)
        key_set = KeySet(issuer, least=0)
        users = Users(replica.database, replica.directory)
        ring = KeyRing(KeysFile(tmp_path).path)
        credentials = Credentials(ring, replica.directory, OidcTokens(issuer, key_set), users)
        yield IssuedTokens(TokenSigner(keys.private_pem, 40), refresh_tokens, credentials)
        await key_set.aclose()


def test_the_gateway_alone_can_read_one(refresh_tokens: RefreshTokens, keys: Keys) -> None:
    token = refresh_tokens.issue(ANN)
    opened = refresh_tokens.open(token)
    assert (opened.tenant, opened.subject, opened.key, opened.roles) == ("acme", "ann", "key_1", ("developer",))
    assert opened.claims == (("department", ("hydro",)),)
    assert opened.expires == refresh_expiry(token)
    assert 598 <= opened.expires - time.time() <= 600
    sealed = base64.urlsafe_b64decode(token.rpartition(".")[2])
    assert not any(word in sealed for word in (b"acme", b"ann", b"key_1", b"developer", b"hydro"))
    assert refresh_tokens.issue(ANN) != token, "each has a salt of its own"
    with pytest.raises(Unauthenticated):
        keys.verifier.verify(token)


@pytest.mark.parametrize(
    "changed",
    [
        lambda token: "",
        lambda token: "…",
        lambda token: "a.b.c",
        lambda token: token[:-4],
        lambda token: token.replace("v1.", "v2."),
        lambda token: f"v1.{int(time.time()) + 10_000}.{token.rpartition('.')[2]}",
        lambda token: token.rpartition(".")[0] + "." + base64.urlsafe_b64encode(bytes(120)).decode(),
        lambda token: RefreshTokens(Keys().private_pem, 600).issue(ANN),
    ],
    ids=["empty", "no ASCII", "parts", "cut", "version", "later", "zeros", "another key"],
)
def test_what_was_changed_or_is_somebody_else_s_is_refused(refresh_tokens: RefreshTokens, changed: object) -> None:
    assert callable(changed)
    with pytest.raises(RunIdentityRefused, match="not one of this gateway's"):
        refresh_tokens.open(changed(refresh_tokens.issue(ANN)))


def test_an_identity_token_opens_nothing(refresh_tokens: RefreshTokens, keys: Keys) -> None:
    with pytest.raises(RunIdentityRefused):
        refresh_tokens.open(keys.signer.token(ANN))


def test_one_that_has_ended_is_refused(keys: Keys) -> None:
    ended = RefreshTokens(keys.private_pem, -1)
    with pytest.raises(RunIdentityRefused, match="as long as runs may"):
        ended.open(ended.issue(ANN))


async def test_a_key_of_the_database_until_it_is_revoked(
    tokens: IssuedTokens, keys: Keys, store: IdentityStore, replica: Replica, ann: str
) -> None:
    made = await store.keys.create("acme", ann)
    await replica.follow()
    refresh = tokens.refresh_token(Identity("acme", "ann", frozenset({"*"}), key=made.key.id))
    fresh = await tokens.exchange("run_1", refresh)
    assert 20 <= fresh.seconds <= 40
    identity = keys.verifier.verify(fresh.token)
    assert (identity.tenant, identity.subject, identity.key) == ("acme", "ann", made.key.id)
    assert identity.scopes != {"*"}, "what the key may do now, not what the run was started with"
    await store.keys.revoke("acme", made.key.id)
    await replica.follow()
    with pytest.raises(RunIdentityRefused, match="not valid any more"):
        await tokens.exchange("run_1", refresh)


async def test_a_key_that_memory_does_not_hold(
    keys: Keys, store: IdentityStore, make_replica: MakeReplica, refresh_tokens: RefreshTokens, tmp_path: Path, ann: str
) -> None:
    made = [await store.keys.create("acme", ann) for _ in range(3)]
    replica = await make_replica(limit=1)
    credentials = Credentials(KeyRing(KeysFile(tmp_path).path), replica.directory)
    tokens = IssuedTokens(TokenSigner(keys.private_pem), refresh_tokens, credentials)
    for one in made:
        whose = Identity("acme", "ann", key=one.key.id)
        assert keys.verifier.verify((await tokens.exchange("", tokens.refresh_token(whose))).token).key == one.key.id
    await store.keys.revoke("acme", made[1].key.id)
    with pytest.raises(RunIdentityRefused):
        await tokens.exchange("", tokens.refresh_token(Identity("acme", "ann", key=made[1].key.id)))


@pytest.mark.parametrize("changes", [{"tenant": "other"}, {"subject": "eve"}], ids=str)
async def test_a_key_of_somebody_else_s(tokens: IssuedTokens, changes: dict[str, str]) -> None:
    whose = KeysFile.whose
    assert (await tokens.exchange("", tokens.refresh_token(whose))).token
    with pytest.raises(RunIdentityRefused):
        await tokens.exchange("", tokens.refresh_token(replace(whose, **changes)))  # type: ignore[arg-type]  # of texts


async def test_a_key_of_the_operator_s_file_until_it_is_taken_out(
    keys: Keys, refresh_tokens: RefreshTokens, tmp_path: Path
) -> None:
    file = KeysFile(tmp_path)
    ring = KeyRing(file.path)
    tokens = IssuedTokens(TokenSigner(keys.private_pem), refresh_tokens, Credentials(ring))
    refresh = tokens.refresh_token(KeysFile.whose)
    assert keys.verifier.verify((await tokens.exchange("", refresh)).token) == KeysFile.whose
    file.revoke()
    ring._looked = 0.0  # a second later
    with pytest.raises(RunIdentityRefused):
        await tokens.exchange("", refresh)


async def test_a_user_of_the_issuer_with_the_roles_that_the_token_named(
    tokens: IssuedTokens, keys: Keys, store: IdentityStore, replica: Replica
) -> None:
    eve = Identity("acme", "eve", frozenset({"*"}), roles=("user",))
    refresh = tokens.refresh_token(eve)
    identity = keys.verifier.verify((await tokens.exchange("", refresh)).token)
    assert identity.scopes == replica.directory.permissions().of_roles("acme", ("user",))
    made = await store.principals.create("acme", PrincipalKind.USER, "eve")
    await store.principals.set_state("acme", made.id, AccountState.SUSPENDED)
    await replica.follow()
    with pytest.raises(RunIdentityRefused, match="suspended"):
        await tokens.exchange("", refresh)


async def test_a_suspended_tenant_and_records_that_are_gone(
    tokens: IssuedTokens, store: IdentityStore, replica: Replica, ann: str
) -> None:
    made = await store.keys.create("acme", ann)
    await replica.follow()
    refresh = tokens.refresh_token(Identity("acme", "ann", key=made.key.id))
    replica.stale = 6.0
    with pytest.raises(IdentityStale):
        await tokens.exchange("", refresh)
    replica.stale = 0.0
    await store.tenants.set_state("acme", AccountState.SUSPENDED)
    await replica.follow()
    with pytest.raises(TenantSuspended):
        await tokens.exchange("", refresh)
