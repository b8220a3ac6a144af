"""The layer that knows the caller and gives the call its internal identity token."""

import math
from functools import partial

from gateway import metrics
from gateway.identity.addresses import address_of
from gateway.identity.credentials import Credentials
from gateway.identity.errors import TooManyAttempts
from gateway.identity.keys import KeyRing
from services.runtime.call import Call
from services.runtime.errors import Unauthenticated
from services.runtime.identity import LIFETIME, SHARED, Identity, TokenSigner
from services.runtime.interceptors.chain import Serve, T

# A run that these start is stored with its token, so that it can go on under it: see docs/events.md.
STARTS_RUNS = frozenset(
    {
        "/headworks.orchestrator.v1.OrchestratorService/Run",
        "POST /v1/chat/completions",
    }
)
LONGEST = 86_400.0


class Authenticate:
    """`run_seconds`: how long the token of a run is good, which may outlive its call; that of any other call is good
    until the call's deadline, and a minute or two longer, so that many calls share it. `proxies`: how many of our own
    stand before the gateway and say where callers come from."""

    def __init__(
        self, callers: Credentials | KeyRing, signer: TokenSigner, run_seconds: float = LIFETIME, proxies: int = 1
    ) -> None:
        self._callers = callers if isinstance(callers, Credentials) else Credentials(callers)
        self._signer = signer
        self._run_seconds = run_seconds
        self._proxies = proxies

    async def around(self, call: Call, serve: Serve[T]) -> T:
        header = call.metadata.get("authorization", "")
        try:
            call.identity = await self._callers.identify(header, partial(address_of, call, self._proxies))
        except (Unauthenticated, TooManyAttempts):
            metrics.REFUSED.inc()
            raise
        call.token = self._token(call, call.identity)
        return await serve()

    def _token(self, call: Call, identity: Identity) -> str:
        lifetime = LIFETIME
        if call.remaining > LIFETIME - SHARED:
            lifetime = math.ceil(min(call.remaining, LONGEST) / SHARED + 1) * SHARED
        return self._signer.token(
            identity, max(lifetime, self._run_seconds) if call.method in STARTS_RUNS else lifetime
        )
