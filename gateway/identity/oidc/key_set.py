"""The issuer's keys, kept: fetched again when they are old or one is missing, and not more often than that."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping

import httpx

from gateway.identity.oidc.fetching import FAILURES, SigningKey, fetch
from gateway.identity.oidc.issuer import Issuer
from services.runtime.errors import Unauthenticated, Unavailable

log = logging.getLogger(__name__)
# No token makes this gateway ask the issuer more often.
LEAST_SECONDS = 10.0


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
