"""The layer that tells who calls: by the gateway's own token on GuardService, otherwise as callers from outside are."""

from collections.abc import Awaitable

from services.runtime.call import Call
from services.runtime.interceptors.chain import Layer, Serve, T

INSIDE = "/headworks.gateway.v1.GuardService/"


class Callers:
    """`inside` (Identify) for the methods of GuardService, `outside` (Authenticate, and what goes with it) for all
    others. Nobody from outside has a token, and nobody inside a key. The run that asks is on record already: its
    questions are not audited one by one."""

    def __init__(self, outside: Layer, inside: Layer) -> None:
        self._outside = outside
        self._inside = inside

    def around(self, call: Call, serve: Serve[T]) -> Awaitable[T]:
        if not call.method.startswith(INSIDE):
            return self._outside.around(call, serve)
        call.audited = True
        return self._inside.around(call, serve)
