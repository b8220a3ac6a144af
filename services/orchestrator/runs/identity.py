"""The identity that a run acts under, as far as runs know of it."""

import asyncio
import math
from collections.abc import Callable
from typing import Protocol


class RunIdentity(Protocol):
    """Whom a run acts for. What it calls is called under a short token, which is renewed while the run works. `run_id`
    says which run it is."""

    run_id: str

    @property
    def due(self) -> float:
        """Seconds until the token is to be renewed; infinite where there is none."""
        ...

    def enter(self, deadline: float) -> None:
        """What the present task calls from here on, it calls as the run's caller, until this point on the monotonic
        clock."""

    async def ensure(self) -> None:
        """See to a token that is good for a while. Raises IdentityRefused, IdentityUnavailable."""

    async def keep(self, idle: Callable[[], bool]) -> None:
        """Renew the token whenever that is due, for ever, but not while the run is idle. Raises IdentityRefused,
        IdentityUnavailable."""


class Nobody:
    """The identity of runs that call nothing."""

    run_id = ""
    due = math.inf

    def enter(self, deadline: float) -> None:
        pass

    async def ensure(self) -> None:
        pass

    async def keep(self, idle: Callable[[], bool]) -> None:
        await asyncio.Event().wait()
