"""Who calls: the gateway's token, checked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.runtime.call import Call
from services.runtime.errors import Unauthenticated
from services.runtime.identity import IDENTITY_KEY, TokenVerifier
from services.runtime.interceptors.pipeline import Context


class Identify:
    """The token has to be good when the call begins. How long the call may take is for its deadline to say: a token is
    shorter than an upload, or than following a run."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    @asynccontextmanager
    async def around(self, call: Call, context: Context) -> AsyncIterator[None]:
        token = call.metadata.get(IDENTITY_KEY)
        if not token:
            raise Unauthenticated("this service is called through the gateway: the identity token is missing")
        call.identity = self._verifier.verify(token)
        call.token = token
        yield
