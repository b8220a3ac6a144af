"""Which of an issuer's tokens are believed. The issuer is a real one, over HTTP."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.oidc.keys import Issuer, IssuerUnavailable, KeySet
from gateway.identity.oidc.tokens import OidcTokens
from services.runtime.errors import DomainError, Unauthenticated
from tests.fakes.issuer import AUDIENCE, FakeIssuer
from tests.fakes.serving import until

TIMES = ("exp", "nbf", "iat")


@asynccontextmanager
async def checking(fake: FakeIssuer, least: float = 0.0, **changes: Any) -> AsyncIterator[OidcTokens]:
    issuer = replace(Issuer(fake.url, AUDIENCE, leeway=2), **changes)
    keys = KeySet(issuer, least=least)
    await keys.open()
    try:
        yield OidcTokens(issuer, keys)
    finally:
        await keys.aclose()


@pytest.fixture
async def fake() -> AsyncIterator[FakeIssuer]:
    async with FakeIssuer("ES256", "RS256", "EdDSA").serving() as serving:
        yield serving


async def why(tokens: OidcTokens, token: str) -> str:
    assert tokens.known(token) is None
    with pytest.raises(Unauthenticated) as caught:
        await tokens.check(token)
    assert tokens.known(token) is None
    return caught.value.message


@pytest.mark.parametrize("kid", ["ES256", "RS256", "EdDSA"])
async def test_good_tokens(fake: FakeIssuer, kid: str) -> None:
    async with checking(fake) as tokens:
        token = fake.token(kid, roles=["user", "reader", "user"])
        found = await tokens.check(token)
        assert (found.tenant, found.subject, found.roles) == ("acme", "ann", ("reader", "user"))
        assert tokens.known(token) == found
        assert fake.asked == ["/.well-known/openid-configuration", "/jwks"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"exp": -10}, "expired"),
        ({"exp": None}, "'exp'"),
        ({"nbf": 1_000}, "not valid yet"),
        ({"iat": 1_000}, "not valid yet"),
        ({"iss": "https://other.example"}, "another issuer"),
        ({"iss": None}, "'iss'"),
        ({"aud": "other"}, "another audience"),
        ({"aud": None}, "'aud'"),
        ({"sub": None}, "'sub'"),
        ({"sub": ""}, "'sub'"),
        ({"sub": "x" * 201}, "'sub'"),
        ({"tenant": None}, "'tenant'"),
        ({"tenant": ["acme"]}, "'tenant'"),
        ({"tenant": "a\nb"}, "'tenant'"),
        ({"roles": 7}, "'roles'"),
        ({"roles": [7]}, "'roles'"),
        ({"roles": ["x"] * 101}, "'roles'"),
        ({"exp": "soon"}, "not valid"),
    ],
    ids=str,
)
async def test_wrong_claims(fake: FakeIssuer, changes: dict[str, Any], words: str) -> None:
    """Numbers are seconds from now."""
    now = int(time.time())
    claims: dict[str, Any] = {
        name: now + value if type(value) is int and name in TIMES else value for name, value in changes.items()
    }
    async with checking(fake) as tokens:
        assert words in await why(tokens, fake.token(**claims))


async def test_clocks_may_be_apart_a_little(fake: FakeIssuer) -> None:
    async with checking(fake, leeway=30) as tokens:
        await tokens.check(fake.token(exp=int(time.time()) - 10))
        await tokens.check(fake.token(nbf=int(time.time()) + 10))


async def test_a_remembered_token_expires_all_the_same(fake: FakeIssuer) -> None:
    async with checking(fake, leeway=0) as tokens:
        token = fake.token(exp=int(time.time()) + 2)
        await tokens.check(token)
        assert tokens.known(token)
        await until(lambda: tokens.known(token) is None, 4)
        assert "expired" in await why(tokens, token)


def part(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims_of(fake: FakeIssuer) -> dict[str, Any]:
    return {"iss": fake.url, "aud": AUDIENCE, "sub": "ann", "tenant": "acme", "exp": int(time.time()) + 60}


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "nOnE", "", "HS256", "HS512", "ES256K", "dir", None, 7, []]
)
async def test_algorithms_that_are_not_allowed(fake: FakeIssuer, algorithm: Any) -> None:
    token = f"{part({'alg': algorithm, 'kid': 'ES256', 'typ': 'JWT'})}.{part(claims_of(fake))}."
    async with checking(fake) as tokens:
        assert "not" in await why(tokens, token)
        assert "not" in await why(tokens, token + "x")


async def test_the_public_key_is_no_shared_secret(fake: FakeIssuer) -> None:
    public = fake.keys["RS256"][1].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    signed = f"{part({'alg': 'HS256', 'kid': 'RS256'})}.{part(claims_of(fake))}"
    token = f"{signed}.{part(hmac.digest(pem, signed.encode(), hashlib.sha256))}"
    async with checking(fake) as tokens:
        assert "algorithm" in await why(tokens, token)


async def test_a_key_is_for_its_own_algorithm(fake: FakeIssuer) -> None:
    _, key = fake.keys["RS256"]
    for algorithm in ("PS256", "RS512"):
        token = jwt.encode(claims_of(fake), key, algorithm=algorithm, headers={"kid": "RS256"})
        async with checking(fake, algorithms=frozenset({"RS256", algorithm})) as tokens:
            assert "not valid" in await why(tokens, token)
    async with checking(fake) as tokens:
        assert "not valid" in await why(tokens, fake.token("ES256", {"kid": "RS256"}))
        assert "not valid" in await why(tokens, fake.token("ES256", {"kid": "EdDSA"}))


async def test_another_issuers_key_of_the_same_id(fake: FakeIssuer) -> None:
    other = FakeIssuer("ES256")
    other.url = fake.url
    async with checking(fake) as tokens:
        assert await why(tokens, other.token()) == "the token is not valid"


async def test_changed_claims(fake: FakeIssuer) -> None:
    head, _, signature = fake.token().split(".")
    async with checking(fake) as tokens:
        assert "not valid" in await why(tokens, f"{head}.{part(claims_of(fake) | {'tenant': 'beta'})}.{signature}")


async def test_critical_extensions_are_not_known(fake: FakeIssuer) -> None:
    async with checking(fake) as tokens:
        await why(tokens, fake.token("ES256", {"crit": ["exp"], "exp": 1}))


async def test_keys_that_travel_in_the_token_are_not_used(fake: FakeIssuer) -> None:
    thief = FakeIssuer("ES256")
    thief.url = fake.url
    own = {"jwk": thief.jwks()["keys"][0], "jku": f"{fake.url}/thief"}
    async with checking(fake) as tokens:
        await why(tokens, thief.token("ES256", own))
    assert "/thief" not in fake.asked


DEEP = "[" * 5_000
GARBAGE = [
    "", ".", "..", "...", "a.b.c", "…", "\x00", "e30.e30.e30", "." * 10_000, "x" * 20_000, "\ud800.\ud800.\ud800",
    f"{part(DEEP.encode())}.e30.", f"{part({'alg': 'ES256'})}.{part(DEEP.encode())}.", part(b"\xff\xfe") + ".e30.",
    part([]) + ".e30.", part("x") + ".e30.x", part({"alg": "ES256", "kid": 7}) + ".e30.x", part({}) + ".e30.x",
    part({"alg": "ES256", "kid": "ES256", "b64": False}) + ".e30.x", part({"alg": {"a": 1}}) + ".e30.x",
]  # fmt: skip


@pytest.mark.parametrize("token", GARBAGE, ids=lambda token: repr(token)[:20])
async def test_garbage(fake: FakeIssuer, token: str) -> None:
    async with checking(fake, least=60) as tokens:
        await why(tokens, token)


async def test_an_unknown_key_is_asked_for_and_not_too_often(fake: FakeIssuer) -> None:
    async with checking(fake, least=60) as tokens:
        fake.add("new")
        assert "does not have" in await why(tokens, fake.token("new"))
        assert fake.asked.count("/jwks") == 1
    async with checking(fake, least=0.05) as tokens:
        fake.add("newer")
        token = fake.token("newer")
        await until(lambda: _checked(tokens, token), 60)
        asked = fake.asked.count("/jwks")
        await asyncio.gather(*(why(tokens, fake.token("ES256", {"kid": f"no{n}"})) for n in range(100)))
        assert fake.asked.count("/jwks") <= asked + 2


async def _checked(tokens: OidcTokens, token: str) -> bool:
    try:
        await tokens.check(token)
    except DomainError:
        return False
    return True


async def test_keys_are_refreshed_by_age_and_those_taken_away_are_forgotten(fake: FakeIssuer) -> None:
    async with checking(fake, refresh=0.05) as tokens:
        token = fake.token("RS256")
        await tokens.check(token)
        del fake.keys["RS256"]
        other = fake.token("ES256")

        async def gone() -> bool:
            await tokens.check(other)  # a fresh look, not what was remembered
            return "RS256" not in tokens._keys._keys

        await until(gone, 60)


async def test_the_keys_are_kept_while_the_issuer_is_gone_up_to_a_limit(fake: FakeIssuer) -> None:
    async with checking(fake, refresh=0.01, stale=0.5) as tokens:
        fake.fails = True
        await tokens.check(fake.token())

        async def closed() -> bool:
            try:
                await tokens.check(fake.token())
            except IssuerUnavailable:
                return True
            return False

        await until(closed, 60)
        fake.fails = False
        await until(lambda: _checked(tokens, fake.token()), 60)


@pytest.mark.parametrize(
    "garbage",
    [b"", b"{", b"[]", b'{"keys": 7}', b'{"keys": []}', b'{"keys": [7, {}, {"kty": "oct"}]}', b" " * 300_000],
)  # fmt: skip
async def test_an_issuer_that_answers_nonsense(fake: FakeIssuer, garbage: bytes) -> None:
    fake.garbage = garbage
    async with checking(fake) as tokens:
        with pytest.raises(IssuerUnavailable):
            await tokens.check(fake.token())
        fake.garbage = None
        await tokens.check(fake.token())


async def test_an_issuer_of_another_name_is_not_believed(fake: FakeIssuer) -> None:
    fake.name = "https://other.example"
    async with checking(fake) as tokens:
        with pytest.raises(IssuerUnavailable):
            await tokens.check(fake.token())


async def test_an_issuer_that_hangs_has_a_deadline(fake: FakeIssuer) -> None:
    fake.hangs = True
    started = time.monotonic()
    async with checking(fake, timeout=0.2) as tokens:
        with pytest.raises(IssuerUnavailable):
            await tokens.check(fake.token())
    assert time.monotonic() - started < 3
    fake.hangs = False


async def test_claims_that_are_passed_on(fake: FakeIssuer) -> None:
    async with checking(fake, passed_claims=("department", "org.groups", "level", "none", "empty")) as tokens:
        said = await tokens.check(
            fake.token(department="hydro", org={"groups": ["a", "b"]}, level=3, empty="", other="not this one")
        )
        assert said.passed == (("department", ("hydro",)), ("org.groups", ("a", "b")), ("level", ("3",)))
        for department in ({"name": "hydro"}, ["x"] * 101, "x" * 201, [None]):
            with pytest.raises(Unauthenticated, match="no usable claim 'department'"):
                await tokens.check(fake.token(department=department))


@pytest.mark.parametrize(
    ("changes", "claims", "found"),
    [
        ({"jwks_url": "/jwks"}, {}, ("acme", "ann", ())),
        ({"tenant": "fixed"}, {"tenant": None}, ("fixed", "ann", ())),
        ({"tenant_claim": "https://x.example/org"}, {"https://x.example/org": "beta"}, ("beta", "ann", ())),
        ({"roles_claim": "realm_access.roles"}, {"realm_access": {"roles": ["a"]}}, ("acme", "ann", ("a",))),
        ({"roles_claim": "scope"}, {"scope": "b a"}, ("acme", "ann", ("a", "b"))),
        ({"subject_claim": "email"}, {"email": "ann@acme.example"}, ("acme", "ann@acme.example", ())),
    ],
    ids=str,
)
async def test_claims_of_other_names(
    fake: FakeIssuer, changes: dict[str, Any], claims: dict[str, Any], found: tuple[Any, ...]
) -> None:
    if "jwks_url" in changes:
        changes = {"jwks_url": f"{fake.url}/jwks"}
    async with checking(fake, **changes) as tokens:
        said = await tokens.check(fake.token(**claims))
    assert (said.tenant, said.subject, said.roles) == found


@pytest.mark.parametrize(
    "changes", [{"audience": ""}, {"algorithms": frozenset({"HS256"})}, {"algorithms": frozenset({"none"})}]
)
def test_settings_that_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        replace(Issuer("https://issuer.example", AUDIENCE), **changes)


async def test_nothing_of_a_token_is_logged(fake: FakeIssuer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fake.fails = True
    async with checking(fake) as tokens:
        token = fake.token(sub="nobody@acme.example")
        for one in (token, token[:-4], f"x{token}"):
            with pytest.raises(DomainError):
                await tokens.check(one)
    assert not [piece for piece in token.split(".") if piece[:30] in caplog.text]
    assert "nobody@acme.example" not in caplog.text


FUZZED = FakeIssuer("ES256")
FUZZED.url = "https://issuer.example"
GOOD = FUZZED.token()
json_of = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
header_of = st.fixed_dictionaries(
    {"alg": st.sampled_from(["ES256", "none", "HS256"]) | json_of, "kid": st.just("ES256") | json_of}
).map(part)
token_of = st.one_of(
    st.text(max_size=200),
    st.builds("{}.{}.{}".format, header_of, json_of.map(part), st.binary(max_size=64).map(part)),
    st.builds(lambda at, with_: GOOD[:at] + with_ + GOOD[at + 1 :], st.integers(0, len(GOOD) - 1), st.text(max_size=2)),
)


class KnownKeys(KeySet):
    """Those of one issuer, without asking."""

    def __init__(self, fake: FakeIssuer) -> None:
        from gateway.identity.oidc.keys import parse

        self._parsed = parse(fake.jwks())

    async def find(self, kid: str) -> Any:
        if kid not in self._parsed:
            raise Unauthenticated("unknown")
        return self._parsed[kid]


@given(token_of)
def test_whatever_comes_is_refused_in_order(token: str) -> None:
    tokens = OidcTokens(Issuer(FUZZED.url, AUDIENCE), KnownKeys(FUZZED))
    try:
        found = asyncio.run(tokens.check(token))
    except Unauthenticated:
        return
    head, body, _ = token.split(".")
    assert [head, body] == GOOD.split(".")[:2]  # base64 has more than one way to write a signature
    assert found.tenant == "acme"
