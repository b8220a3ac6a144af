"""Authentication: the layer that knows the caller, and the tokens that the gateway gives to calls behind it."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from gateway import metrics
from gateway.identity.addresses import address_of
from gateway.identity.credentials import Credentials
from gateway.identity.errors import TooManyAttempts
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
    """`proxies`: how many of our own stand before the gateway and say where callers come from."""

    def __init__(self, callers: Credentials, signer: TokenSigner, proxies: int = 1) -> None:
        self._callers = callers
        self._signer = signer
        self._proxies = proxies

    async def around(self, call: Call, serve: Serve[T]) -> T:
        header = credential_of(call.metadata)
        try:
            call.identity = await self._callers.identify(header, partial(address_of, call, self._proxies))
        except (Unauthenticated, TooManyAttempts):
            metrics.REFUSED.inc()
            raise
        call.token = self._signer.token(call.identity)
        return await serve()


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
        delegation = self._refresh_tokens.open(refresh_token)
        identity = await self._credentials.still(delegation)
        log.info("identity of a run renewed", extra={"run_id": run_id, "tenant": identity.tenant, "key": identity.key})
        token = self._signer.token(identity)
        return RenewedToken(token, (expiry(token) or 0) - time.time())
