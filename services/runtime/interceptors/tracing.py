"""A server span around the call, under the caller's; and the request's id."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry.trace import SpanKind

from services.runtime import tracing
from services.runtime.call import REQUEST_ID_KEY, Call, new_request_id


class Trace:
    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        call.request_id = call.metadata.get(REQUEST_ID_KEY, "")[:128] or new_request_id()
        with tracing.span(call.method.removeprefix("/"), SpanKind.SERVER, tracing.extract(call.metadata)):
            yield
