"""The issuer whose tokens are believed, and its public keys: fetched again when they
are old or one is missing, and not more often than that."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import orjson

from services.runtime.errors import Unauthenticated, Unavailable

ASYMMETRIC = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)  # fmt: skip
MOST_BYTES = 256 << 10
MOST_KEYS = 100
DISCOVERY = "/.well-known/openid-configuration"
_RSA = frozenset(name for name in ASYMMETRIC if name[:2] in ("RS", "PS"))
# What can be wrong with an answer: the way there, its form, what it says.
FAILURES = (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError)
log = logging.getLogger(__name__)
# No token makes this gateway ask the issuer more often.
LEAST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Issuer:
    """`jwks_url` is discovered where it is empty. Claims are named as they are, or by a path with dots; a `tenant` that
    is set is that of every token; `passed_claims` go on to the services behind the gateway. Times are in seconds:
    `leeway` is how far clocks may be apart, `refresh` how old keys get, `stale` how old where the issuer is gone,
    `timeout` how long it may take to answer.

    Raises ValueError for an algorithm that is not asymmetric, or where there is no audience.
    """

    url: str
    audience: str
    jwks_url: str = ""
    tenant: str = ""
    tenant_claim: str = "tenant"
    roles_claim: str = "roles"
    subject_claim: str = "sub"
    passed_claims: tuple[str, ...] = ()
    algorithms: frozenset[str] = frozenset({"RS256", "ES256", "EdDSA"})
    leeway: float = 30.0
    refresh: float = 300.0
    stale: float = 86_400.0
    timeout: float = 5.0

    def __post_init__(self) -> None:
        if not self.audience:
            raise ValueError("an OIDC issuer needs an audience: tokens for others are not for this gateway")
        if wrong := self.algorithms - ASYMMETRIC:
            raise ValueError(f"tokens are signed with {', '.join(sorted(ASYMMETRIC))}, not {', '.join(sorted(wrong))}")


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


class IssuerUnavailable(Unavailable):
    """The issuer's keys cannot be had, or only such as are too old."""

    reason = "ISSUER_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("tokens cannot be checked at the moment: the issuer's keys cannot be reached")


class KeySet:
    """Asks the issuer at most once in `least` seconds, whatever tokens name."""

    def __init__(self, issuer: Issuer, client: httpx.AsyncClient | None = None, least: float = LEAST_SECONDS) -> None:
        self._issuer = issuer
        self._client = client or httpx.AsyncClient(timeout=issuer.timeout, follow_redirects=False)
        self._least = least
        self._keys: Mapping[str, SigningKey] = {}
        self._fetched = -float("inf")
        self._asked = -float("inf")
        self._asking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Fetch the keys. An issuer that is gone is no reason not to start: API keys go on."""
        await self._ask()

    async def aclose(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._asking
        await self._client.aclose()

    async def find(self, kid: str) -> SigningKey:
        """The key of this id; the only one there is for a token that names none. Raises Unauthenticated where the
        issuer has no such key, IssuerUnavailable."""
        if self._age > self._issuer.refresh:
            self._start()
        if self._age > self._issuer.stale or self._named(kid) is None:
            await self._ask()
        if self._age > self._issuer.stale:
            raise IssuerUnavailable
        found = self._named(kid)
        if found is None:
            raise Unauthenticated("the token is signed with a key that its issuer does not have")
        return found

    @property
    def _age(self) -> float:
        return _now() - self._fetched

    def _named(self, kid: str) -> SigningKey | None:
        if not kid and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    def _start(self) -> None:
        """Begin to ask, unless that is under way or was done a moment ago."""
        if self._asking is None and _now() - self._asked >= self._least:
            self._asked = _now()
            self._asking = asyncio.create_task(self._fetch(), name="jwks")

    async def _ask(self) -> None:
        """Wait for an answer that is under way or can be asked for; one question serves all who wait."""
        self._start()
        if self._asking is not None:
            await asyncio.shield(self._asking)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(self._issuer.timeout):
                self._keys = await fetch(self._client, self._issuer)
            self._fetched = _now()
        except FAILURES as error:
            log.warning("the issuer's keys were not fetched", extra={"error": f"{type(error).__name__}: {error}"[:300]})
        finally:
            self._asking = None


def _now() -> float:
    return asyncio.get_running_loop().time()
