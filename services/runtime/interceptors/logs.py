"""One log line a call, when it is over."""

import logging
import time

from services.runtime.call import Call
from services.runtime.errors import Kind
from services.runtime.interceptors.chain import Serve, T

log = logging.getLogger("access")

SERIOUS = (Kind.INTERNAL, Kind.UNAVAILABLE)


class AccessLog:
    async def around(self, call: Call, serve: Serve[T]) -> T:
        try:
            return await serve()
        finally:
            level = logging.WARNING if call.code in SERIOUS else logging.INFO
            log.log(
                level,
                "served",
                extra={
                    "method": call.method,
                    "code": call.code,
                    "reason": call.reason,
                    "ms": round((time.monotonic() - call.started) * 1000, 2),
                    "sent": call.sent,
                    "subject": call.identity.subject if call.identity else "",
                    **({"notes": call.notes} if call.notes else {}),
                },
            )
