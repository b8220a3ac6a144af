"""The development key: made once, kept by its owner in one file and by the gateway as a hash in another."""

import hashlib
import json
import secrets
from pathlib import Path

from infra.local.layout import Layout, write_private

PREFIX = "hw_"
PREFIX_LENGTH = len(PREFIX) + 8
RANDOM_BYTES = 32


class BadKeyFile(Exception):
    """A key file is there, but what it holds is not a key."""


def make_keys(layout: Layout) -> str:
    """Make what is missing of the development key, the gateway's list of keys, the identity key pair and the token by
    which gateways know Envoy.

    Returns the development key. Raises BadKeyFile.
    """
    # Here, for a verb that only reads the development key need not wait for what makes key pairs.
    from services.runtime.identity import write_key_pair

    key = _dev_key(layout.dev_key)
    if not layout.edge_token.exists():
        write_private(layout.edge_token, f"{secrets.token_urlsafe(RANDOM_BYTES)}\n")
    _list_key(layout.api_keys, key)
    write_key_pair(layout.identity_private_key, layout.identity_public_key)
    return key


def api_key_entry(key: str) -> dict[str, object]:
    """The gateway's record of the development key: enough to recognise it, not enough to use it."""
    return {
        "id": "dev",
        "prefix": key[:PREFIX_LENGTH],
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "tenant": "default",
        "subject": "dev",
        "scopes": ["*"],
    }


def _dev_key(path: Path) -> str:
    if path.exists():
        path.chmod(0o600)
        return read_dev_key(path)
    key = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    write_private(path, f"{key}\n")
    return key


def _list_key(path: Path, key: str) -> None:
    """Keep the development key's entry true and leave the other keys in the list as they are."""
    others: list[object] = []
    if path.exists():
        try:
            listed = json.loads(path.read_text("utf-8"))["keys"]
            others = [entry for entry in listed if entry["id"] != "dev"]
        except (ValueError, KeyError, TypeError) as error:
            raise BadKeyFile(f"{path} is not a list of keys; remove it and start the mesh again") from error
    write_private(path, json.dumps({"keys": [api_key_entry(key), *others]}, indent=2) + "\n")


def read_dev_key(path: Path) -> str:
    """The key in `path`. Raises BadKeyFile, or OSError where it cannot be read."""
    key = path.read_text("utf-8", "replace").strip()
    if not key.startswith(PREFIX) or not key.isascii() or not key.isprintable() or " " in key:
        raise BadKeyFile(f"{path} does not hold one key beginning with {PREFIX}; remove it and start the mesh again")
    return key
