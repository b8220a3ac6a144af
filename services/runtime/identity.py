"""The internal identity token: minted by the gateway, checked by every service behind it.

A JWT signed with Ed25519: the gateway alone has the private key, so that no service behind it can speak for a tenant.
It is good for two minutes. Runs that take longer exchange a refresh token, which the gateway alone can read.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from services.runtime.errors import Unauthenticated
from services.runtime.numerals import numeral

IDENTITY_KEY = "x-headworks-identity"
# Where the gateway gives a run's refresh token to the orchestrator: VERSION.EXPIRY.SEALED, which no service can read
# but for the second when it ends.
REFRESH_KEY = "x-headworks-refresh"
AUDIENCE = "headworks"
ISSUER = "gateway"
LIFETIME = 120.0
# A token that is good for longer was not made by this version, or not by the gateway's own settings.
LONGEST = 600.0
# How far the clocks of two hosts may be apart.
LEEWAY = 15.0
CACHED = 4096


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls. `subject` names the user or the service account, `scopes` are the patterns of what it may do;
    `project` and `key` are the project and the id of the API key it came with, empty where there is none. `roles` are
    those that an issuer's token named; the gateway alone knows them. `claims`: the others of its claims that the
    gateway's settings pass on, by name, each with its values."""

    tenant: str
    subject: str
    scopes: frozenset[str] = frozenset()
    project: str = ""
    key: str = ""
    roles: tuple[str, ...] = field(default=(), compare=False)
    claims: tuple[tuple[str, tuple[str, ...]], ...] = ()


class TokenSigner:
    """Mints tokens that are good for `lifetime` seconds. One serves an identity for the first half of them, so that
    signing is not paid per call."""

    def __init__(self, private_key_pem: bytes, lifetime: float = LIFETIME) -> None:
        self._key = serialization.load_pem_private_key(private_key_pem, password=None)
        self._lifetime = lifetime
        self._minted: dict[Identity, tuple[str, float]] = {}

    def verifier(self) -> "TokenVerifier":
        """What checks the tokens that this mints."""
        public = self._key.public_key()
        return TokenVerifier(
            public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )

    @property
    def fingerprint(self) -> str:
        """Of the public key."""
        return _fingerprint(self._key.public_key())

    def token(self, identity: Identity) -> str:
        """A token for `identity`, good for half of the lifetime at least: no call begins under it later."""
        now = time.time()
        minted = self._minted.get(identity)
        if minted and minted[1] > now:
            return minted[0]
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": identity.subject,
            "tenant": identity.tenant,
            "scope": " ".join(sorted(identity.scopes)),
            "iat": int(now),
            "exp": int(now + self._lifetime),
            **{name: value for name, value in (("project", identity.project), ("key", identity.key)) if value},
            **({"claims": dict(identity.claims)} if identity.claims else {}),
        }
        token = jwt.encode(claims, self._key, algorithm="EdDSA")  # type: ignore[arg-type]  # an Ed25519 key by contract
        if len(self._minted) >= CACHED:
            self._minted.clear()
        self._minted[identity] = (token, now + self._lifetime / 2)
        return token


class TokenVerifier:
    """Checks tokens. A token that was found good is remembered until it expires. `leeway`: seconds that the gateway's
    clock and this one may be apart."""

    def __init__(self, public_key_pem: bytes, leeway: float = LEEWAY) -> None:
        self._key = serialization.load_pem_public_key(public_key_pem)
        self._leeway = leeway
        self._good: dict[str, tuple[Identity, float]] = {}

    def verify(self, token: str) -> Identity:
        """The identity in `token`. Raises Unauthenticated for anything but a good one."""
        good = self._good.get(token)
        if good and good[1] > time.time():
            return good[0]
        try:
            claims = jwt.decode(
                token,
                self._key,  # type: ignore[arg-type]  # an Ed25519 key by contract
                algorithms=["EdDSA"],
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=self._leeway,
                options={"require": ["exp", "iat", "sub", "tenant"]},
            )
        except jwt.InvalidTokenError as error:
            raise Unauthenticated("the internal identity token is not valid") from error
        if claims["exp"] - claims["iat"] > LONGEST:
            raise Unauthenticated("the internal identity token is good for too long to be accepted")
        identity = _identity(claims)
        if len(self._good) >= CACHED:
            self._good.clear()
        self._good[token] = (identity, float(claims["exp"]) + self._leeway)
        return identity


def _identity(claims: Mapping[str, Any]) -> Identity:
    scopes = frozenset(claims.get("scope", "").split())
    passed = tuple((name, tuple(values)) for name, values in claims.get("claims", {}).items())
    return Identity(
        claims["tenant"], claims["sub"], scopes, claims.get("project", ""), claims.get("key", ""), claims=passed
    )


@lru_cache(CACHED)
def expiry(token: str) -> float | None:
    """When a token that was verified ends, in seconds since the epoch; None where there is none."""
    if not token:
        return None
    return float(jwt.decode(token, options={"verify_signature": False})["exp"])


def refresh_expiry(refresh_token: str) -> float | None:
    """When a refresh token ends, in seconds since the epoch; None where there is none."""
    _, _, rest = refresh_token.partition(".")
    seconds, _, _ = rest.partition(".")
    return numeral(seconds)


def fingerprint(public_key_pem: bytes) -> str:
    """What names a public key: SHA-256 of it, in hexadecimal. ValueError for what is no PEM of one."""
    return _fingerprint(serialization.load_pem_public_key(public_key_pem))


def _fingerprint(key: PublicKeyTypes) -> str:
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def write_key_pair(private: Path, public: Path) -> None:
    """Make a key pair for a development mesh, unless it is there. The private key's file has mode 600."""
    if private.exists() and public.exists():
        return
    key = Ed25519PrivateKey.generate()
    private.touch(mode=0o600)
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
