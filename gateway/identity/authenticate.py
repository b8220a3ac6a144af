"""Authentication: the layer that knows the caller, and the tokens that the gateway gives to calls behind it."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from gateway import metrics
from gateway.identity.credentials import Credentials
from gateway.identity.errors import RunIdentityRefused, TooManyAttempts
from gateway.identity.open_calls import OpenCalls
from gateway.identity.refresh_tokens import RefreshTokens
from services.runtime.call import Call
from services.runtime.errors import Unauthenticated
from services.runtime.identity import Identity, TokenSigner, expiry
from services.runtime.interceptors.chain import Serve, T

KEY_HEADERS = ("x-api-key", "api-key")
BEARER = "bearer "
log = logging.getLogger(__name__)


def credential_of(metadata: Mapping[str, str]) -> str:
    """The authorization header of a call, or the same made of a header in which clients of other providers send their
    key."""
    header = metadata.get("authorization", "")
    if header[: len(BEARER)].lower() == BEARER:
        return header
    key = next((metadata[name] for name in KEY_HEADERS if metadata.get(name)), "")
    return f"{BEARER}{key}" if key else header


class Authenticate:
    """`open_calls` ends a call whose caller is let in no more. `address` returns where a call comes from."""

    def __init__(
        self, callers: Credentials, signer: TokenSigner, open_calls: OpenCalls, address: Callable[[Call], str]
    ) -> None:
        self._callers = callers
        self._signer = signer
        self._open_calls = open_calls
        self._address = address

    async def around(self, call: Call, serve: Serve[T]) -> T:
        header = credential_of(call.metadata)
        try:
            call.identity = await self._callers.identify(header, partial(self._address, call))
        except (Unauthenticated, TooManyAttempts):
            metrics.REFUSED.inc()
            raise
        call.token = self._signer.token(call.identity)
        return await self._open_calls.serve(call, call.identity, serve)


@dataclass(frozen=True, slots=True)
class RenewedToken:
    """An identity token, and the seconds that it is still good."""

    token: str
    seconds: float


class IssuedTokens:
    """What the gateway gives to calls behind it: identity tokens, and for what outlives them refresh tokens."""

    def __init__(self, signer: TokenSigner, refresh_tokens: RefreshTokens, credentials: Credentials) -> None:
        self._signer = signer
        self._refresh_tokens = refresh_tokens
        self._credentials = credentials

    def identity_token(self, identity: Identity) -> str:
        return self._signer.token(identity)

    def refresh_token(self, identity: Identity) -> str:
        return self._refresh_tokens.issue(identity)

    async def exchange(self, run_id: str, refresh_token: str) -> RenewedToken:
        """Raises RunIdentityRefused, TenantSuspended; IdentityStale or RecordsUnavailable where none knows for now."""
        caller = self._refresh_tokens.open(refresh_token)
        try:
            identity = await self._credentials.still(caller)
        except Unauthenticated as error:
            raise RunIdentityRefused(error.message) from error
        log.info("identity of a run renewed", extra={"run_id": run_id, "tenant": identity.tenant, "key": identity.key})
        token = self._signer.token(identity)
        return RenewedToken(token, (expiry(token) or 0) - time.time())
