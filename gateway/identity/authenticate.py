"""The layer that knows the caller by an API key and gives the call its internal identity token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway import metrics
from gateway.identity.keys import PREFIX, KeyRing
from services.runtime.call import Call
from services.runtime.errors import Unauthenticated
from services.runtime.identity import TokenSigner
from services.runtime.interceptors.pipeline import Context


class Authenticate:
    def __init__(self, keys: KeyRing, signer: TokenSigner) -> None:
        self._keys = keys
        self._signer = signer

    @asynccontextmanager
    async def around(self, call: Call, context: Context) -> AsyncIterator[None]:
        try:
            call.identity = self._keys.identify(_key(call))
        except Unauthenticated:
            metrics.REFUSED.inc()
            raise
        call.token = self._signer.token(call.identity)
        yield


def _key(call: Call) -> str:
    header = call.metadata.get("authorization", "")
    scheme, _, key = header.partition(" ")
    if not header:
        raise Unauthenticated("no API key: send the header 'authorization: Bearer hw_…'")
    if scheme.lower() != "bearer" or not key.startswith(PREFIX):
        raise Unauthenticated("the API key is not valid: it is sent as 'authorization: Bearer hw_…'")
    return key.strip()
