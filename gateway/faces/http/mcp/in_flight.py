"""The requests of MCP that are under way in this process, so that a client may cancel one by a message of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from gateway.faces.http.asgi import AsgiExchange

RequestId = str | int
# Whose it is, in which session, and its id: types count, "1" is not 1.
_Key = tuple[tuple[str, ...], str, type, RequestId]


class RequestsInFlight:
    """Clients of protocols before 2026-07-28 cancel by `notifications/cancelled`, a request of its own. Ids are unique
    within a session: without one nothing can be named."""

    def __init__(self) -> None:
        self._scopes: dict[_Key, anyio.CancelScope] = {}

    @contextmanager
    def held(self, exchange: AsgiExchange, request_id: RequestId | None) -> Iterator[anyio.CancelScope]:
        """Around the work for a request. What cancels it ends the block, and `cancel_called` says so."""
        with anyio.CancelScope() as scope:
            if not exchange.context or request_id is None:
                yield scope
                return
            key = _key(exchange, request_id)
            self._scopes[key] = scope
            try:
                yield scope
            finally:
                self._scopes.pop(key, None)

    def cancel(self, exchange: AsgiExchange, request_id: RequestId) -> bool:
        """Whether there was such a request of this caller's, in this process."""
        scope = self._scopes.get(_key(exchange, request_id))
        if scope is None:
            return False
        scope.cancel()
        return True


def _key(exchange: AsgiExchange, request_id: RequestId) -> _Key:
    who = exchange.call.identity
    owner = (who.tenant, who.subject, who.key) if who else ()
    return owner, exchange.context, type(request_id), request_id
