"""Which identity tokens are believed."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.runtime.errors import Unauthenticated
from services.runtime.identity import LEEWAY, LIFETIME, Identity, TokenSigner, TokenVerifier, write_key_pair
from tests.fakes.identity import Keys
from tests.fakes.serving import until

ANN = Identity("acme", "ann", frozenset({"read", "write"}))


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    fine = {"iss": "gateway", "aud": "headworks", "sub": "ann", "tenant": "acme", "iat": now, "exp": now + 60}
    return {name: value for name, value in (fine | changes).items() if value is not None}


def encoded(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def hs256(secret: bytes) -> str:
    signed = f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{encoded(claims())}"
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def test_what_is_signed_is_read_back(keys: Keys) -> None:
    assert keys.verifier.verify(keys.signer.token(ANN)) == ANN


def test_the_project_and_the_key_go_along(keys: Keys) -> None:
    claims = (("department", ("hydro",)), ("groups", ("a", "b")))
    whole = Identity("acme", "ann", frozenset({"models.call:*"}), "prj_1", "key_1", claims=claims)
    assert keys.verifier.verify(keys.signer.token(whole)) == whole


def test_a_token_serves_many_calls(keys: Keys) -> None:
    signer = keys.signer
    assert signer.token(ANN) == signer.token(ANN)
    assert signer.token(ANN) != signer.token(Identity("other", "ann"))
    assert signer.token(ANN) != signer.token(Identity("acme", "ann", ANN.scopes, claims=(("a", ("b",)),)))
    assert signer.token(ANN) != signer.token(Identity("acme", "ann", ANN.scopes, key="key_1"))


def test_a_token_is_short_lived(keys: Keys) -> None:
    token = jwt.decode(keys.signer.token(ANN), options={"verify_signature": False})
    assert LIFETIME / 2 <= token["exp"] - time.time() <= LIFETIME <= 300


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": int(time.time()) - LEEWAY - 1},
        {"exp": None},
        {"aud": "elsewhere"},
        {"aud": None},
        {"iat": None},
        {"iat": int(time.time()) + 1_000_000},
        {"exp": int(time.time()) + 86_400},
        {"iss": "someone"},
        {"iss": None},
        {"tenant": None},
        {"sub": None},
        {"nbf": int(time.time()) + 1_000_000},
    ],
    ids=lambda changes: "-".join(map(str, changes)),
)
def test_wrong_claims_are_refused(keys: Keys, changes: dict[str, Any]) -> None:
    token = jwt.encode(claims(**changes), keys.key, algorithm="EdDSA")
    with pytest.raises(Unauthenticated):
        keys.verifier.verify(token)


def test_clocks_may_be_a_little_apart(keys: Keys) -> None:
    """The gateway's clock is slow, or fast, by nearly as much as is allowed."""
    for seconds in (-LEEWAY + 2, LEEWAY - 2):
        now = int(time.time() + seconds)
        ended = jwt.encode(claims(iat=now - 60, exp=now), keys.key, algorithm="EdDSA")
        begun = jwt.encode(claims(iat=now, exp=now + 60), keys.key, algorithm="EdDSA")
        assert keys.verifier.verify(ended) == keys.verifier.verify(begun)
        for token in (ended, begun)[seconds > 0 :][:1]:
            with pytest.raises(Unauthenticated):
                TokenVerifier(keys.public_pem, leeway=0).verify(token)


def test_these_claims_are_fine_as_they_are(keys: Keys) -> None:
    assert keys.verifier.verify(jwt.encode(claims(), keys.key, algorithm="EdDSA")).tenant == "acme"


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "…", "\x00", "." * 10_000, "e30.e30.e30"], ids=repr)
def test_garbage_is_refused(keys: Keys, token: str) -> None:
    with pytest.raises(Unauthenticated):
        keys.verifier.verify(token)


def test_the_algorithm_none_is_refused(keys: Keys) -> None:
    with pytest.raises(Unauthenticated):
        keys.verifier.verify(f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{encoded(claims())}.")


def test_the_public_key_is_no_shared_secret(keys: Keys) -> None:
    for secret in (keys.public_pem, keys.public_pem.strip(), keys.key.public_key().public_bytes_raw()):
        with pytest.raises(Unauthenticated):
            keys.verifier.verify(hs256(secret))


def test_another_key_is_refused(keys: Keys) -> None:
    with pytest.raises(Unauthenticated):
        keys.verifier.verify(jwt.encode(claims(), Ed25519PrivateKey.generate(), algorithm="EdDSA"))


def test_changed_claims_are_refused(keys: Keys) -> None:
    head, _, signature = keys.signer.token(ANN).split(".")
    with pytest.raises(Unauthenticated):
        keys.verifier.verify(f"{head}.{encoded(claims(tenant='other'))}.{signature}")


async def test_a_remembered_token_expires_all_the_same(keys: Keys) -> None:
    verifier = TokenVerifier(keys.public_pem, leeway=0)
    token = jwt.encode(claims(exp=int(time.time()) + 1), keys.key, algorithm="EdDSA")
    assert verifier.verify(token) == verifier.verify(token)

    def refused() -> bool:
        try:
            verifier.verify(token)
        except Unauthenticated:
            return True
        return False

    await until(refused, 60)


def test_a_key_pair_is_made_once(tmp_path: Path) -> None:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    write_key_pair(private, public)
    made = private.read_bytes(), public.read_bytes()
    write_key_pair(private, public)
    assert made == (private.read_bytes(), public.read_bytes())
    assert private.stat().st_mode & 0o777 == 0o600
    assert TokenVerifier(made[1]).verify(TokenSigner(made[0]).token(ANN)) == ANN
