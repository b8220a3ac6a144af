"""Calls under way: one whose caller is let in no more ends, as a new one would not begin."""

import asyncio
import logging
from collections.abc import Awaitable, Hashable
from dataclasses import dataclass
from typing import Protocol

from gateway.audit.entry import Decision
from services.runtime.call import Call
from services.runtime.errors import DomainError, ErrorKind
from services.runtime.identity import Identity
from services.runtime.interceptors.chain import Serve, T

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
# Keys expire without a change that could be followed.
LOOK_SECONDS = 5.0
_REFUSALS = (ErrorKind.UNAUTHENTICATED, ErrorKind.PERMISSION_DENIED)


class Admission(Protocol):
    """Who is let in: the part of Credentials that is needed."""

    def version(self) -> Hashable:
        """Another one after every change that was followed."""
        ...

    def still(self, caller: Identity, /) -> Awaitable[Identity]:
        """The caller as they would be admitted now. Raises DomainError."""
        ...


@dataclass(slots=True, eq=False)
class _OpenCall:
    call: Call
    caller: Identity
    limit: asyncio.Timeout
    refusal: DomainError | None = None

    def end(self, refusal: DomainError) -> None:
        """Cancel the call, once. It had begun: to the audit it is not one that was refused."""
        if self.refusal is None:
            self.refusal = refusal
            self.call.notes["decision"] = Decision.BLOCKED.value
            self.limit.reschedule(asyncio.get_running_loop().time())


class OpenCalls:
    """Looks at the callers of all open calls after each change of who is let in, and every `seconds`. What cannot be
    known for now ends no call."""

    def __init__(self, admission: Admission, seconds: float = LOOK_SECONDS) -> None:
        self._admission = admission
        self._seconds = seconds
        self._open: dict[Hashable, set[_OpenCall]] = {}
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._task = asyncio.create_task(self._run(), name="open-calls")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def serve(self, call: Call, caller: Identity, serve: Serve[T]) -> T:
        """Serve a call of the caller. Raises what `still` does, once the caller is let in no more."""
        whose = caller.tenant, caller.subject, caller.key, caller.roles
        opened = _OpenCall(call, caller, asyncio.timeout(None))
        alike = self._open.setdefault(whose, set())
        alike.add(opened)
        try:
            async with opened.limit:
                return await serve()
        except TimeoutError:
            if opened.refusal is None or not opened.limit.expired():
                raise
            raise opened.refusal from None
        finally:
            alike.discard(opened)
            if not alike:
                del self._open[whose]

    async def look(self) -> None:
        """End the calls of those who are let in no more; each caller is looked at once."""
        for whose, alike in list(self._open.items()):
            caller = next(iter(alike)).caller if alike else None
            refusal = await self._refusal(caller) if caller is not None else None
            if refusal is not None:
                for opened in list(self._open.get(whose, ())):
                    opened.end(refusal)

    async def _refusal(self, caller: Identity) -> DomainError | None:
        try:
            await self._admission.still(caller)
        except DomainError as error:
            return error if error.kind in _REFUSALS else None
        return None

    async def _run(self) -> None:
        seen: Hashable = None
        looked, clock = 0.0, asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                version, now = self._admission.version(), clock()
                if self._open and (version != seen or now - looked >= self._seconds):
                    await self.look()
                    seen, looked = version, now
            except Exception:
                log.exception("open calls were not looked at; it is tried again")
