"""Checking an issuer's tokens, and reading what they say. Nothing of a token goes into logs or messages."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from gateway.identity.oidc.keys import Issuer, KeySet, SigningKey
from services.runtime.errors import Unauthenticated

LONGEST_CLAIM = 200
MOST_ROLES = 100
MOST_VALUES = 100
LATEST = 1 << 40
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


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """The bearer of a valid token. `expires`: seconds since the epoch. `passed`: claims that go on behind the gateway,
    each with its values."""

    tenant: str
    subject: str
    roles: tuple[str, ...]
    expires: float
    passed: tuple[tuple[str, tuple[str, ...]], ...] = ()


def read_claims(found: Mapping[str, Any], issuer: Issuer) -> TokenClaims:
    """Raises Unauthenticated, naming the claim that is missing or wrong."""
    subject = _text(found, issuer.subject_claim)
    tenant = issuer.tenant or _text(found, issuer.tenant_claim)
    roles = _roles(_claim(found, issuer.roles_claim), issuer.roles_claim)
    passed = ((name, _values(_claim(found, name), name)) for name in issuer.passed_claims)
    known = tuple((name, values) for name, values in passed if values)
    return TokenClaims(tenant, subject, roles, float(min(int(found["exp"]), LATEST)), known)


def _claim(found: Mapping[str, Any], name: str) -> Any:
    """The claim of this name, or that at the end of the path, such as "realm_access.roles"."""
    if name in found:
        return found[name]
    at: Any = found
    for part in name.split("."):
        at = at.get(part) if isinstance(at, dict) else None
    return at


def _text(found: Mapping[str, Any], name: str) -> str:
    value = _claim(found, name)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_CLAIM or not value.isprintable():
        raise Unauthenticated(f"the token has no usable claim {name!r}")
    return value


def _values(value: Any, name: str) -> tuple[str, ...]:
    """A text, a number, a boolean, or a list of these; none is none. Raises Unauthenticated."""
    each = value if isinstance(value, list) else [] if value is None else [value]
    values = tuple("true" if one is True else "false" if one is False else str(one) for one in each)
    plain = all(isinstance(one, str | int | float) for one in each)
    if not plain or len(each) > MOST_VALUES or not all(len(one) <= LONGEST_CLAIM for one in values):
        raise Unauthenticated(f"the token has no usable claim {name!r}")
    return tuple(one for one in values if one)


def _roles(value: Any, name: str) -> tuple[str, ...]:
    """A list, or names with spaces between; none is none."""
    roles = value.split() if isinstance(value, str) else [] if value is None else value
    if not isinstance(roles, list) or len(roles) > MOST_ROLES or not all(isinstance(one, str) for one in roles):
        raise Unauthenticated(f"the token has no usable claim {name!r}")
    return tuple(sorted(set(roles)))


class OidcTokens:
    """Checks tokens. A valid one is remembered until it expires; `cached` of them at most."""

    def __init__(self, issuer: Issuer, keys: KeySet, cached: int = CACHED) -> None:
        self._issuer = issuer
        self._keys = keys
        self._cached = cached
        self._good: OrderedDict[bytes, TokenClaims] = OrderedDict()

    def known(self, token: str) -> TokenClaims | None:
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

    async def check(self, token: str) -> TokenClaims:
        """What the token says. Raises Unauthenticated, saying why; IssuerUnavailable."""
        kid, algorithm = self._header(token)
        key = await self._keys.find(kid)
        if algorithm not in key.algorithms:
            raise Unauthenticated(NOT_VALID)
        found = read_claims(self._decode(token, key, algorithm), self._issuer)
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
