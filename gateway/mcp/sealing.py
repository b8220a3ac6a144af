"""Secrets at rest: what a server is asked with is in the database in a form that a gateway alone can open."""

import base64
import binascii
import os
from collections.abc import Mapping

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key

NONCE = 12
PURPOSE = b"headworks/gateway/mcp/secrets/v1"


class Unsealable(Exception):
    """The secrets were sealed under another key, or for another server."""


class SecretSeal:
    """AES-256-GCM under a key made of the mesh's own Ed25519 private key, which every gateway has. What is sealed for
    one server is not to be opened as another's."""

    def __init__(self, private_key_pem: bytes) -> None:
        key = load_pem_private_key(private_key_pem, password=None)
        assert isinstance(key, Ed25519PrivateKey)  # noqa: S101 (it signs tokens, too)
        self._key = AESGCM(HKDF(SHA256(), 32, None, PURPOSE).derive(key.private_bytes_raw()))

    def close(self, secrets: Mapping[str, str], owner: str) -> str:
        """The secrets, sealed; empty where there are none."""
        if not secrets:
            return ""
        nonce = os.urandom(NONCE)
        sealed = nonce + self._key.encrypt(nonce, orjson.dumps(dict(secrets)), owner.encode())
        return base64.b64encode(sealed).decode()

    def open(self, sealed: str, owner: str) -> dict[str, str]:
        """Raises Unsealable."""
        if not sealed:
            return {}
        try:
            data = base64.b64decode(sealed, validate=True)
            opened: dict[str, str] = orjson.loads(self._key.decrypt(data[:NONCE], data[NONCE:], owner.encode()))
        except (binascii.Error, ValueError, InvalidTag) as error:
            raise Unsealable("the secrets of this server cannot be opened: set them anew") from error
        return opened
