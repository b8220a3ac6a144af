"""A server span around the call, under the caller's; and the request's id."""

from opentelemetry.trace import SpanKind

from services.runtime import tracing
from services.runtime.call import REQUEST_ID_KEY, Call, new_request_id
from services.runtime.interceptors.chain import Serve, T


class Trace:
    async def around(self, call: Call, serve: Serve[T]) -> T:
        call.request_id = call.metadata.get(REQUEST_ID_KEY, "")[:128] or new_request_id()
        with tracing.span(call.method.removeprefix("/"), SpanKind.SERVER, tracing.extract(call.metadata)):
            return await serve()
