"""One log line a call, when it is over."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.runtime.call import Call
from services.runtime.errors import Kind

log = logging.getLogger("access")

SERIOUS = (Kind.INTERNAL, Kind.UNAVAILABLE)


class AccessLog:
    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        try:
            yield
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
