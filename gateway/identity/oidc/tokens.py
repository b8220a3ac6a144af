"""Checking an issuer's tokens. Nothing of a token goes into logs or messages."""

import hashlib
import time
from collections import OrderedDict
from typing import Any

import jwt

from gateway.identity.oidc import claims
from gateway.identity.oidc.claims import Claims
from gateway.identity.oidc.fetching import SigningKey
from gateway.identity.oidc.issuer import Issuer
from gateway.identity.oidc.key_set import KeySet
from services.runtime.errors import Unauthenticated

CACHED = 10_000
LONGEST = 16 << 10
NOT_VALID = "the token is not valid"
_WHY: tuple[tuple[type[Exception], str], ...] = (
    (jwt.ExpiredSignatureError, "the token has expired"),
    (jwt.ImmatureSignatureError, "the token is not valid yet"),
    (jwt.InvalidIssuerError, "the token is of another issuer"),
    (jwt.InvalidAudienceError, "the token is for another audience"),
)
# What a library makes of bytes that are no token, however they are wrong.
_FAILURES = (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)


class OidcTokens:
    """Checks tokens. One that was found good is remembered until it expires; `cached` of them at most."""

    def __init__(self, issuer: Issuer, keys: KeySet, cached: int = CACHED) -> None:
        self._issuer = issuer
        self._keys = keys
        self._cached = cached
        self._good: OrderedDict[bytes, Claims] = OrderedDict()

    def known(self, token: str) -> Claims | None:
        """What a token says that was checked before and has not expired since."""
        if not self._good:
            return None
        digest = _digest(token)
        found = self._good.get(digest)
        if found is None:
            return None
        if found.expires + self._issuer.leeway <= time.time():
            del self._good[digest]
            return None
        self._good.move_to_end(digest)
        return found

    async def check(self, token: str) -> Claims:
        """What the token says. Raises Unauthenticated, saying why; IssuerUnavailable."""
        kid, algorithm = self._header(token)
        key = await self._keys.find(kid)
        if algorithm not in key.algorithms:
            raise Unauthenticated(NOT_VALID)
        found = claims.read(self._decode(token, key, algorithm), self._issuer)
        self._good[_digest(token)] = found
        if len(self._good) > self._cached:
            self._good.popitem(last=False)
        return found

    def _header(self, token: str) -> tuple[str, str]:
        """The id of the key, and the algorithm, which is one of those allowed."""
        if len(token) > LONGEST:
            raise Unauthenticated(NOT_VALID)
        try:
            header = jwt.get_unverified_header(token)
            kid, algorithm = header.get("kid", ""), header["alg"]
        except _FAILURES as error:
            raise Unauthenticated(NOT_VALID) from error
        if not isinstance(algorithm, str) or algorithm not in self._issuer.algorithms or not isinstance(kid, str):
            raise Unauthenticated("the token is signed with an algorithm that is not allowed")
        if header.get("crit"):
            raise Unauthenticated(NOT_VALID)
        return kid, algorithm

    def _decode(self, token: str, key: SigningKey, algorithm: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = jwt.decode(
                token,
                key.public,
                algorithms=[algorithm],
                audience=self._issuer.audience,
                issuer=self._issuer.url,
                leeway=self._issuer.leeway,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.MissingRequiredClaimError as error:
            raise Unauthenticated(f"the token has no claim {error.claim!r}") from None
        except _FAILURES as error:
            why = next((words for kind, words in _WHY if isinstance(error, kind)), NOT_VALID)
            raise Unauthenticated(why) from None
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
