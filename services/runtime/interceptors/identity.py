"""Who calls: the gateway's token, checked."""

from services.runtime.call import Call
from services.runtime.errors import Unauthenticated
from services.runtime.identity import IDENTITY_KEY, TokenVerifier
from services.runtime.interceptors.chain import Serve, T


class Identify:
    """The token has to be good when the call begins. How long the call may take is for its deadline to say: a token is
    shorter than an upload, or than following a run."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    async def around(self, call: Call, serve: Serve[T]) -> T:
        token = call.metadata.get(IDENTITY_KEY)
        if not token:
            raise Unauthenticated("this service is called through the gateway: the identity token is missing")
        call.identity = self._verifier.verify(token)
        call.token = token
        return await serve()
