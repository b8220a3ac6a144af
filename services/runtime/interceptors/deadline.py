"""The call's deadline as a point in time, and its enforcement."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.runtime.call import Call
from services.runtime.errors import DeadlineExceeded


class Deadline:
    """The caller's deadline, or `longest` seconds where that is sooner or the caller set none; for a call that streams
    its requests, `longest_upload`."""

    def __init__(self, longest: float, longest_upload: float) -> None:
        self._longest = longest
        self._longest_upload = longest_upload

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        longest = self._longest_upload if call.uploads else self._longest
        seconds = longest if call.timeout is None else min(call.timeout, longest)
        call.deadline = time.monotonic() + seconds
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise  # a narrower limit further in, not this one
            raise DeadlineExceeded(f"the call did not finish within {seconds:.3g} seconds") from error
