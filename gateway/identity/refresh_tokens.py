"""Refresh tokens: what the orchestrator keeps of a run's caller, which the gateway alone can read.

A refresh token is no identity: no service takes it for one, and it opens nothing but the exchange, where the caller's
key is looked at anew. It is sealed with AES-GCM under a key that is made from the gateway's private key and a salt of
its own, so that all gateways can open it and whoever has the orchestrator's database cannot.
"""

import os
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.identity.errors import RunIdentityRefused
from services.runtime.identity import Identity

VERSION = "v1"
INFO = b"headworks refresh token v1"
SALT = 16
NONCE = bytes(12)  # each key seals one token


@dataclass(frozen=True, slots=True)
class Delegation:
    """Who may go on acting, and until when in seconds since the epoch. What they may do is looked up at each exchange;
    `roles` and `claims` are those that an issuer's token named."""

    tenant: str
    subject: str
    key: str
    roles: tuple[str, ...]
    expires: float
    claims: tuple[tuple[str, tuple[str, ...]], ...] = ()


class RefreshTokens:
    """Seals and opens them. `seconds`: how long one is good."""

    def __init__(self, private_key_pem: bytes, seconds: float) -> None:
        key = serialization.load_pem_private_key(private_key_pem, password=None)
        self._secret = key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._seconds = seconds

    def issue(self, identity: Identity) -> str:
        """VERSION.EXPIRY.SEALED, for one run or one call of `identity`."""
        head = f"{VERSION}.{int(time.time() + self._seconds)}"
        caller = {
            "tenant": identity.tenant, "sub": identity.subject, "key": identity.key, "roles": identity.roles,
            "claims": identity.claims,
        }  # fmt: skip
        salt = os.urandom(SALT)
        sealed = AESGCM(self._key(salt)).encrypt(NONCE, orjson.dumps(caller), head.encode())
        return f"{head}.{urlsafe_b64encode(salt + sealed).decode()}"

    def open(self, token: str) -> Delegation:
        """Raises RunIdentityRefused for anything but a good one."""
        head, _, sealed = token.rpartition(".")
        _, _, expires = head.partition(".")
        try:
            data = urlsafe_b64decode(sealed)
            caller = orjson.loads(AESGCM(self._key(data[:SALT])).decrypt(NONCE, data[SALT:], head.encode()))
        except (ValueError, InvalidTag) as error:
            raise RunIdentityRefused("the refresh token is not one of this gateway's") from error
        if int(expires) <= time.time():
            raise RunIdentityRefused("the run has gone on for as long as runs may")
        claims = tuple((name, tuple(values)) for name, values in caller.get("claims", ()))
        return Delegation(
            caller["tenant"], caller["sub"], caller["key"], tuple(caller["roles"]), float(expires), claims
        )

    def _key(self, salt: bytes) -> bytes:
        return HKDF(SHA256(), 32, salt, INFO).derive(self._secret)
