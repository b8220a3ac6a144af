"""The call's deadline as a point in time, and its enforcement."""

import asyncio
import time

from services.runtime.call import Call
from services.runtime.errors import DeadlineExceeded
from services.runtime.interceptors.chain import Serve, T


class Deadline:
    """The caller's deadline, or `longest` seconds where that is sooner or the caller set none; for a call that streams
    its requests, `longest_upload`."""

    def __init__(self, longest: float, longest_upload: float) -> None:
        self._longest = longest
        self._longest_upload = longest_upload

    async def around(self, call: Call, serve: Serve[T]) -> T:
        longest = self._longest_upload if call.uploads else self._longest
        seconds = longest if call.timeout is None else min(call.timeout, longest)
        call.deadline = time.monotonic() + seconds
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await serve()
        except TimeoutError as error:
            if not limit.expired():
                raise  # a narrower limit further in, not this one
            raise DeadlineExceeded(f"the call did not finish within {seconds:.3g} seconds") from error
