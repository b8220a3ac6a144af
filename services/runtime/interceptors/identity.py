"""Who calls: the gateway's token, checked."""

import time

from services.runtime.call import Call
from services.runtime.errors import Unauthenticated
from services.runtime.identity import IDENTITY_KEY, TokenVerifier, expiry
from services.runtime.interceptors.chain import Serve, T


class Identify:
    """The token ends the call's deadline too: no service works on under a token that is no longer good."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    async def around(self, call: Call, serve: Serve[T]) -> T:
        token = call.metadata.get(IDENTITY_KEY)
        if not token:
            raise Unauthenticated("this service is called through the gateway: the identity token is missing")
        call.identity = self._verifier.verify(token)
        call.token = token
        call.deadline = min(call.deadline, time.monotonic() + (expiry(token) or 0) - time.time())
        return await serve()
