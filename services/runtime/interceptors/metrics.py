"""RED metrics of the call."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.runtime import metrics
from services.runtime.call import Call
from services.runtime.interceptors.pipeline import Context

NAMES = {0: "OK", 1: "CANCELLED", 2: "UNKNOWN", 3: "INVALID_ARGUMENT", 4: "DEADLINE_EXCEEDED", 5: "NOT_FOUND"} | {
    6: "ALREADY_EXISTS", 7: "PERMISSION_DENIED", 8: "RESOURCE_EXHAUSTED", 9: "FAILED_PRECONDITION", 10: "ABORTED",
    11: "OUT_OF_RANGE", 12: "UNIMPLEMENTED", 13: "INTERNAL", 14: "UNAVAILABLE", 15: "DATA_LOSS", 16: "UNAUTHENTICATED",
}  # fmt: skip


class Metrics:
    @asynccontextmanager
    async def around(self, call: Call, context: Context) -> AsyncIterator[None]:
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
