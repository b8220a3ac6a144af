"""The layer that tells who calls: from outside by key or token, from inside by what each inner service asks for."""

from collections.abc import Awaitable, Mapping

from services.runtime.call import Call
from services.runtime.interceptors.chain import CallLayer, Serve, T


class Callers:
    """`inside`: the layers of the services for those behind the gateway, by the beginning of their methods' paths;
    `outside` (Authenticate, and what goes with it) is for all others. Nobody from outside has a token, and nobody
    inside a key. The run that asks is on record already: its questions are not audited one by one."""

    def __init__(self, outside: CallLayer, inside: Mapping[str, CallLayer]) -> None:
        self._outside = outside
        self._inside = inside

    def around(self, call: Call, serve: Serve[T]) -> Awaitable[T]:
        service = call.method[: call.method.rfind("/") + 1]
        inside = self._inside.get(service)
        if inside is None:
            return self._outside.around(call, serve)
        call.audited = True
        return inside.around(call, serve)
