"""The exchange: a refresh token for a fresh identity token, if its caller would still be let in."""

import logging
import time
from dataclasses import dataclass

from gateway.identity.credentials import Credentials
from gateway.identity.refresh_tokens import RefreshTokens
from services.runtime.identity import Identity, TokenSigner, expiry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fresh:
    """An identity token, and the seconds that it is still good."""

    token: str
    seconds: float


class Tokens:
    """What the gateway gives to calls behind it: identity tokens, and for what outlives them refresh tokens."""

    def __init__(self, signer: TokenSigner, refresh_tokens: RefreshTokens, credentials: Credentials) -> None:
        self._signer = signer
        self._refresh_tokens = refresh_tokens
        self._credentials = credentials

    def identity_token(self, identity: Identity) -> str:
        return self._signer.token(identity)

    def refresh_token(self, identity: Identity) -> str:
        return self._refresh_tokens.issue(identity)

    async def exchange(self, run_id: str, refresh_token: str) -> Fresh:
        """Raises RunIdentityRefused, TenantSuspended; IdentityStale or RecordsUnavailable where it cannot be told."""
        delegation = self._refresh_tokens.open(refresh_token)
        identity = await self._credentials.still(delegation)
        log.info("identity of a run renewed", extra={"run_id": run_id, "tenant": identity.tenant, "key": identity.key})
        token = self._signer.token(identity)
        return Fresh(token, (expiry(token) or 0) - time.time())
