"""The HTTP face as a plain ASGI application: a call under the same layers as gRPC's, and its response."""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, NoReturn

from gateway.faces.http.errors import TooManyCalls
from gateway.faces.http.exchange import Exchange, Receive, Scope, Send
from gateway.faces.http.message import Body, Request, as_json
from gateway.faces.http.routes import Route, Routes
from services.runtime.call import REQUEST_ID_KEY, Call
from services.runtime.errors import DomainError, Unavailable
from services.runtime.interceptors import Chain
from services.runtime.interceptors.certificates import check_names

HEALTH = b"/healthz"
"""Whether this gateway is well: for the health checks of who stands before it."""
READY = b"/readyz"
"""Whether the mesh is, and what of it is not: for those outside."""
SELF = "gateway"
UNMATCHED = "unmatched"
"""The method's name of a call that no route leads to."""
LEAVE = {"connection": "close", "x-envoy-immediate-health-check-fail": "true"}
"""Headers of a process that is about to stop."""
LAST_WORD_SECONDS = 1.0
"""How long a caller who does not read may keep the end of a call from going out."""
STOPPING_SECONDS = 1.0
"""After which another gateway has the calls of one that stops."""
WITH_BODY = ("POST", "PUT", "PATCH")


class HttpFace:
    """Serves `routes`, each call within `chain`; what no route leads to within `outer`, which asks nobody who he is.

    `most_bytes` of a body are read and `most_calls` served at once. With mutual TLS only `callers` may call.
    A stream of events on which nothing comes has a comment every `heartbeat_seconds`. `vital`: without which the mesh
    is not ready; without others it does less.
    """

    def __init__(
        self, routes: Routes, chain: Chain, outer: Chain, *, most_bytes: int, most_calls: int,
        callers: Collection[str] = (), heartbeat_seconds: float = math.inf, vital: Collection[str] = (),
    ) -> None:  # fmt: skip
        self._routes = routes
        self._chain = chain
        self._outer = outer
        self._most_bytes = most_bytes
        self._most_calls = most_calls
        self._callers = frozenset(callers)
        self._heartbeat_seconds = heartbeat_seconds
        self._vital = frozenset(vital)
        self._serving = 0
        self.ready: Callable[[], bool] = lambda: False
        self.missing: Callable[[], Sequence[str]] = tuple
        self.leaving = False
        self.left = False
        """Whether a health check was told that this process is leaving."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send, self._heartbeat_seconds)
        if self.leaving:
            exchange.extra |= LEAVE
        if exchange.path == HEALTH:
            await self._health(exchange)
            return
        if exchange.path == READY:
            await self._readiness(exchange)
            return
        connection = exchange.connection
        self._serving += 1
        try:
            if connection is not None:
                connection.task = asyncio.current_task()
            await self._serve(exchange, connection)
        except asyncio.CancelledError:
            # The caller has left, or the time to drain is over. ASGI servers take a cancelled task for a fault.
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORD_SECONDS):
                    await exchange.fail(Unavailable("this gateway is stopping: try again").retry_in(STOPPING_SECONDS))
        finally:
            exchange.close()
            self._serving -= 1
            if connection is not None:
                connection.task = None

    async def _health(self, exchange: Exchange) -> None:
        well = self._well
        self.left = self.leaving
        await exchange.whole(200 if well else 503, Body("text/plain", b"ok\n" if well else b"not ready\n"), {})

    @property
    def _well(self) -> bool:
        return self.ready() and not self.leaving

    async def _readiness(self, exchange: Exchange) -> None:
        """Names of services and nothing else, for anybody may ask; found by the checks of each second, not by calls of
        its own."""
        missing = [*([] if self._well else [SELF]), *self.missing()]
        ready = self._vital.isdisjoint(missing) and SELF not in missing
        await exchange.whole(200 if ready else 503, as_json({"ready": ready, "not_ready": missing}), {})

    async def _serve(self, exchange: Exchange, connection: Any) -> None:
        call = Call(UNMATCHED, exchange.headers, peer=exchange.peer, received=1)
        try:
            whole = await self._answer(exchange, call, connection)
            exchange.extra[REQUEST_ID_KEY] = call.request_id
            if whole is not None:
                await exchange.whole(whole.status, whole, call.headers)
            else:
                await exchange.end()
        except DomainError as error:
            exchange.extra[REQUEST_ID_KEY] = call.request_id
            await exchange.fail(error)

    async def _answer(self, exchange: Exchange, call: Call, connection: Any) -> Body | None:
        """The whole body that is the answer, for after the call's end; None where it has gone out in parts."""
        try:
            self._admit(connection)
            route, params = self._routes.find(exchange.verb, exchange.path)
            call.timeout = exchange.timeout()
        except DomainError as error:
            return await self._outer.around(call, partial(_fail, error))
        call.method, call.uploads = route.name, route.uploads
        return await self._chain.around(call, partial(self._handle, exchange, call, route, params))

    async def _handle(self, exchange: Exchange, call: Call, route: Route, params: dict[str, str]) -> Body | None:
        exchange.extra[REQUEST_ID_KEY] = call.request_id
        if route.uploads:
            got = Request(params, exchange.query, b"", exchange.content_type, exchange.stream())
        else:
            data = await exchange.body(self._most_bytes) if exchange.verb in WITH_BODY else b""
            got = Request(params, exchange.query, data, exchange.content_type)
        request = route.read(got)
        self._chain.admit(call, request)
        whole: Body | None = None
        async with aclosing(route.handler(request, call)) as bodies:
            async for body in bodies:
                if body.whole:
                    whole = body
                else:
                    await exchange.write(body, call.headers)
                if not body.data:
                    continue
                call.sent += 1
                if call.first_sent is None:
                    call.first_sent = time.monotonic()
        return whole

    def _admit(self, connection: Any) -> None:
        """Raises PermissionDenied, TooManyCalls."""
        names = None if connection is None else connection.names
        if names is not None:
            check_names(names, self._callers)
        if self._serving > self._most_calls:
            raise TooManyCalls


async def _fail(error: DomainError) -> NoReturn:
    raise error
