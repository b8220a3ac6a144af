"""The layer that knows the caller by an API key and gives the call its internal identity token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway import metrics
from gateway.identity.keys import PREFIX, KeyRing
from services.runtime.call import Call
from services.runtime.errors import Unauthenticated
from services.runtime.identity import LIFETIME, TokenSigner
from services.runtime.interceptors.pipeline import Context

# A run that these start is stored with its token, so that it can go on under it: see docs/events.md.
STARTS_RUNS = frozenset(
    {
        "/headworks.orchestrator.v1.OrchestratorService/Run",
        "/headworks.gateway.v1.OpenAIService/CreateChatCompletion",
    }
)


class Authenticate:
    """`run_seconds`: how long the token of a run is good, which may outlive its call."""

    def __init__(self, keys: KeyRing, signer: TokenSigner, run_seconds: float = LIFETIME) -> None:
        self._keys = keys
        self._signer = signer
        self._run_seconds = run_seconds

    @asynccontextmanager
    async def around(self, call: Call, context: Context) -> AsyncIterator[None]:
        try:
            call.identity = self._keys.identify(_key(call))
        except Unauthenticated:
            metrics.REFUSED.inc()
            raise
        lifetime = self._run_seconds if call.method in STARTS_RUNS else LIFETIME
        call.token = self._signer.token(call.identity, lifetime)
        yield


def _key(call: Call) -> str:
    header = call.metadata.get("authorization", "")
    scheme, _, key = header.partition(" ")
    if not header:
        raise Unauthenticated("no API key: send the header 'authorization: Bearer hw_…'")
    if scheme.lower() != "bearer" or not key.startswith(PREFIX):
        raise Unauthenticated("the API key is not valid: it is sent as 'authorization: Bearer hw_…'")
    return key.strip()
