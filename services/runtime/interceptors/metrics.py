"""RED metrics of the call."""

import time

import grpc

from services.runtime import metrics
from services.runtime.call import Call
from services.runtime.interceptors.chain import Serve, T

NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


class Metrics:
    async def around(self, call: Call, serve: Serve[T]) -> T:
        method = metrics.of_method(call.method)
        method.in_flight.inc()
        try:
            return await serve()
        finally:
            method.in_flight.dec()
            method.seconds.observe(time.monotonic() - call.started)
            if call.first_sent is not None:
                method.first_message.observe(call.first_sent - call.started)
            method.sent.inc(call.sent)
            method.received.inc(call.received)
            method.handled(NAMES.get(call.code, "UNKNOWN"))
