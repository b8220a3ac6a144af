"""Who a call is by what it brings: a key of the operator's file, a key of the records, a token of the issuer."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.identity.addresses import FailedAuthenticationLimiter
from gateway.identity.directory import KeyDirectory, Users
from gateway.identity.keys import PREFIX, KeyRing
from gateway.identity.oidc.tokens import OidcTokens, TokenClaims
from services.runtime.errors import Unauthenticated
from services.runtime.identity import Identity

NO_KEY = "no API key: send the header 'authorization: Bearer hw_…', or the key as 'x-api-key' or 'api-key'"
BAD_FORM = "the API key is not valid: it is sent as 'authorization: Bearer hw_…'"
NOT_VALID = "the API key is not valid"
NOT_VALID_ANY_MORE = "the API key is not valid any more"


class Caller(Protocol):
    """Whom a call or a run acts for: an Identity, or a Delegation."""

    @property
    def tenant(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def roles(self) -> tuple[str, ...]: ...
    @property
    def claims(self) -> tuple[tuple[str, tuple[str, ...]], ...]: ...


class Credentials:
    """`ring` goes on whatever becomes of the records; without `directory` there are its keys only, without `tokens`
    and `users` no issuer.

    A key or token that is known costs a hash and is admitted wherever it comes from; every other costs its address an
    attempt before anything is looked up or verified.
    """

    def __init__(
        self,
        ring: KeyRing,
        directory: KeyDirectory | None = None,
        tokens: OidcTokens | None = None,
        users: Users | None = None,
        limiter: FailedAuthenticationLimiter | None = None,
    ) -> None:
        self._ring = ring
        self._directory = directory
        self._tokens = tokens
        self._users = users
        self._limiter = limiter

    async def identify(self, header: str, address: Callable[[], str]) -> Identity:
        """Who sends this authorization header from this address. Raises Unauthenticated, TooManyAttempts,
        TenantSuspended, and what says that the answer is not known for now."""
        scheme, _, secret = header.partition(" ")
        secret = secret.strip() if scheme.lower() == "bearer" else ""
        if secret.startswith(PREFIX):
            known = self._ring.find(secret) or (self._directory.known(secret) if self._directory else None)
            return known or await self._attempt(address, lambda: self._by_key(secret))
        if secret and self._tokens is not None and self._users is not None:
            tokens, users = self._tokens, self._users
            claims = tokens.known(secret)
            if claims is not None:
                return await users.identify(claims)
            return await self._attempt(address, lambda: _by_token(tokens, users, secret))
        return await self._attempt(address, lambda: _refused(BAD_FORM if header else NO_KEY))

    def version(self) -> tuple[int, int]:
        """Another one after every change of who is let in that was followed."""
        return self._ring.loads, self._directory.loads if self._directory else 0

    async def still(self, caller: Caller) -> Identity:
        """A caller of before, as they would be admitted now. Raises Unauthenticated, TenantSuspended, and what says
        that the answer is not known for now."""
        found = await self._now(caller)
        if found is None or (found.tenant, found.subject) != (caller.tenant, caller.subject):
            raise Unauthenticated(NOT_VALID_ANY_MORE)
        return found

    async def _now(self, caller: Caller) -> Identity | None:
        if caller.key:
            key = caller.key
            return self._ring.by_id(key) or (await self._directory.by_id(key) if self._directory else None)
        if self._users is None:
            return None
        return await self._users.identify(TokenClaims(caller.tenant, caller.subject, caller.roles, 0.0, caller.claims))

    async def _attempt(self, address: Callable[[], str], identify: Callable[[], Awaitable[Identity]]) -> Identity:
        if self._limiter is None:
            return await identify()
        where = address()
        self._limiter.take(where)
        refused = False
        try:
            return await identify()
        except Unauthenticated:
            refused = True
            raise
        finally:
            if not refused:
                self._limiter.give_back(where)

    async def _by_key(self, secret: str) -> Identity:
        found = await self._directory.find(secret) if self._directory else None
        if found is None:
            raise Unauthenticated(NOT_VALID)
        return found


async def _by_token(tokens: OidcTokens, users: Users, token: str) -> Identity:
    return await users.identify(await tokens.check(token))


async def _refused(why: str) -> Identity:
    raise Unauthenticated(why)
