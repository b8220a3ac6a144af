"""The layer that knows the caller and gives the call its internal identity token."""

from functools import partial

from gateway import metrics
from gateway.identity.addresses import address_of
from gateway.identity.credentials import Credentials
from gateway.identity.errors import TooManyAttempts
from gateway.identity.keys import KeyRing
from services.runtime.call import Call
from services.runtime.errors import Unauthenticated
from services.runtime.identity import TokenSigner
from services.runtime.interceptors.chain import Serve, T


class Authenticate:
    """`proxies`: how many of our own stand before the gateway and say where callers come from."""

    def __init__(self, callers: Credentials | KeyRing, signer: TokenSigner, proxies: int = 1) -> None:
        self._callers = callers if isinstance(callers, Credentials) else Credentials(callers)
        self._signer = signer
        self._proxies = proxies

    async def around(self, call: Call, serve: Serve[T]) -> T:
        header = call.metadata.get("authorization", "")
        try:
            call.identity = await self._callers.identify(header, partial(address_of, call, self._proxies))
        except (Unauthenticated, TooManyAttempts):
            metrics.REFUSED.inc()
            raise
        call.token = self._signer.token(call.identity)
        return await serve()
