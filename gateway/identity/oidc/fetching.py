"""Fetching an issuer's public keys, within limits of time and size."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import orjson

from gateway.identity.oidc.issuer import ASYMMETRIC, Issuer

MOST_BYTES = 256 << 10
MOST_KEYS = 100
DISCOVERY = "/.well-known/openid-configuration"
_RSA = frozenset(name for name in ASYMMETRIC if name[:2] in ("RS", "PS"))
# What can be wrong with an answer: the way there, its form, what it says.
FAILURES = (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key, and the algorithms it is for: the one that the issuer says, or all of its kind."""

    public: Any
    algorithms: frozenset[str]


async def fetch(client: httpx.AsyncClient, issuer: Issuer) -> Mapping[str, SigningKey]:
    """The issuer's keys for signatures, by their ids. Raises FAILURES."""
    return parse(await _json(client, issuer.jwks_url or await _discover(client, issuer)))


def parse(document: Mapping[str, Any]) -> Mapping[str, SigningKey]:
    """The keys of a JWKS document that can sign: those of a kind not known here are left out. Raises ValueError."""
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise ValueError("the document has no list of keys")
    found: dict[str, SigningKey] = {}
    for entry in entries[:MOST_KEYS]:
        if isinstance(entry, dict) and (key := _key(entry)) is not None:
            found[str(entry.get("kid", ""))] = key
    if not found:
        raise ValueError("the document has no key that can be used")
    return found


def _key(entry: dict[str, Any]) -> SigningKey | None:
    """A public key for signatures; None for any other."""
    kind, named = entry.get("kty"), entry.get("alg")
    if kind not in ("RSA", "EC", "OKP") or entry.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK.from_dict({name: value for name, value in entry.items() if name != "d"})
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return None
    algorithms = _RSA if kind == "RSA" and not named else ASYMMETRIC & {key.algorithm_name}
    return SigningKey(key.key, algorithms) if algorithms else None


async def _discover(client: httpx.AsyncClient, issuer: Issuer) -> str:
    document = await _json(client, issuer.url.rstrip("/") + DISCOVERY)
    if document.get("issuer") != issuer.url:
        raise ValueError("the issuer calls itself by another name")
    url = document.get("jwks_uri")
    if not isinstance(url, str):
        raise ValueError("the issuer does not say where its keys are")
    return url


async def _json(client: httpx.AsyncClient, url: str) -> Mapping[str, Any]:
    data = bytearray()
    async with client.stream("GET", url) as response:
        response.raise_for_status()
        async for chunk in response.aiter_bytes():
            data += chunk
            if len(data) > MOST_BYTES:
                raise ValueError(f"the document is longer than {MOST_BYTES} bytes")
    document = orjson.loads(data)
    if not isinstance(document, dict):
        raise ValueError("the document is no JSON object")
    return document
