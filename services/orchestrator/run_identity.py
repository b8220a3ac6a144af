"""A caller's identity for what a run calls: its token is renewed by the gateway, in place, before it ends."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from services.orchestrator import metrics
from services.orchestrator.runs.errors import IdentityRefused, IdentityUnavailable
from services.runtime.call import Call, enter
from services.runtime.errors import DomainError, ErrorKind
from services.runtime.identity import Identity, expiry

# The kinds of error by which the gateway says no; after any other it is asked again.
REFUSALS = (ErrorKind.UNAUTHENTICATED, ErrorKind.PERMISSION_DENIED, ErrorKind.INVALID_ARGUMENT)
FIRST_WAIT, LONGEST_WAIT = 0.1, 2.0
# What a token that is not there yet is taken to have lasted.
NO_TOKEN_SECONDS = 8.0
LONGEST_SUBJECT = 256
LOOKED_AT_SECONDS = 40.0
"""However long tokens last, the caller of a run is looked at so often: a minute is promised, and machines are busy."""


@dataclass(frozen=True, slots=True)
class ExchangedToken:
    """A token that was checked, and the seconds that it is still good."""

    token: str
    identity: Identity
    seconds: float


class TokenExchange(Protocol):
    """The gateway, as far as needed."""

    async def exchange(self, run_id: str, refresh_token: str) -> ExchangedToken:
        """Raises DomainError."""
        ...


class CallIdentity:
    """The identity of `call`, for a run or for a call that follows one.

    Every task that has entered it calls under its latest token. `keep` renews that when a third of it is over, which is
    also how a run hears that its caller is let in no more; `ensure` when a quarter is left, for what was idle. The
    gateway is asked again while it does not answer: until the token ends, or for `patience` seconds where there is none
    that is good.
    """

    def __init__(self, call: Call, refresh_token: str, exchange: TokenExchange, patience: float) -> None:
        self._call = replace(call, renew=self.ensure)
        self._refresh_token = refresh_token
        self._exchange = exchange
        self._patience = patience
        self._lock = asyncio.Lock()
        left = (expiry(call.token) or 0.0) - time.time() if call.token else 0.0
        self._last = left if left > 0 else NO_TOKEN_SECONDS
        self._ends = time.monotonic() + left
        self.run_id = ""

    @property
    def _left(self) -> float:
        """Seconds that the token is still good; negative once it has ended."""
        return self._ends - time.monotonic()

    @property
    def due(self) -> float:
        """See RunIdentity."""
        return max(self._left - self._last + self._interval, self._interval / 8)

    @property
    def _interval(self) -> float:
        """Seconds of a token's life after which the next one is had."""
        return min(self._last / 3, LOOKED_AT_SECONDS)

    def enter(self, deadline: float) -> None:
        """See RunIdentity."""
        self._call.deadline = deadline
        enter(self._call)

    async def ensure(self) -> None:
        """See RunIdentity."""
        if self._left <= self._last / 4:
            await self._renew(self._last / 4)

    async def keep(self, idle: Callable[[], bool]) -> None:
        """See RunIdentity."""
        while True:
            if not idle():
                await self._renew(self._last - self._interval * 7 / 8)  # a timer may be early
            await asyncio.sleep(self.due)

    async def _renew(self, seconds: float) -> None:
        """Have a token that is good for longer than so many seconds."""
        async with self._lock:
            if self._left > seconds:
                return
            fresh = await self._ask()
            if _whose(fresh.identity) != _whose(self._call.identity):
                metrics.IDENTITIES.labels("refused").inc()
                raise IdentityRefused("the identity that it could be renewed by is somebody else's")
            self._call.identity, self._call.token = fresh.identity, fresh.token
            self._last, self._ends = fresh.seconds, time.monotonic() + fresh.seconds
            metrics.IDENTITIES.labels("renewed").inc()

    async def _ask(self) -> ExchangedToken:
        if not self._refresh_token:
            raise IdentityRefused("the run came without what its identity could be renewed by")
        give_up = self._ends if self._left > 0 else time.monotonic() + self._patience
        wait = FIRST_WAIT
        while True:
            try:
                return await self._exchange.exchange(self.run_id, self._refresh_token)
            except DomainError as error:
                if error.kind in REFUSALS:
                    metrics.IDENTITIES.labels("refused").inc()
                    raise IdentityRefused(error.message) from error
                if time.monotonic() + wait > give_up:
                    metrics.IDENTITIES.labels("unavailable").inc()
                    raise IdentityUnavailable(error.message) from error
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)


def _whose(identity: Identity | None) -> tuple[str, str] | None:
    """The tenant and the subject, as far as the record of a run has room for it."""
    return (identity.tenant, identity.subject[:LONGEST_SUBJECT]) if identity else None
