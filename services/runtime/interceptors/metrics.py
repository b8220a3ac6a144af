"""RED metrics of the call."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from services.runtime import metrics
from services.runtime.call import Call

NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


class Metrics:
    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        method = metrics.of_method(call.method)
        method.in_flight.inc()
        try:
            yield
        finally:
            method.in_flight.dec()
            method.seconds.observe(time.monotonic() - call.started)
            if call.first_sent is not None:
                method.first_message.observe(call.first_sent - call.started)
            method.sent.inc(call.sent)
            method.received.inc(call.received)
            method.handled(NAMES.get(call.code, "UNKNOWN"))
