"""The command against an orchestrator that is told what to do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from cli import program
from tests.fakes.agent_keeper import FakeAgents, FakeRuns, FakeSessions, app
from tests.fakes.agent_run import whole_run
from tests.fakes.serving import serving


@dataclass
class Command:
    """The `headworks` command, on an orchestrator of fakes."""

    runs: FakeRuns
    agents: FakeAgents = field(default_factory=FakeAgents)
    sessions: FakeSessions = field(default_factory=FakeSessions)
    address: str = ""

    async def __call__(self, *arguments: str) -> int:
        """The exit code."""
        argv = [*arguments, "--edge", self.address, "--key", "hw_x", "--timeout", "20"]
        return await asyncio.to_thread(program.run, argv)


MakeCommand = Callable[..., Awaitable[Command]]


@pytest.fixture
async def make_command() -> AsyncIterator[MakeCommand]:
    async with AsyncExitStack() as stack:

        async def make(runs: FakeRuns | None = None, **fakes: Any) -> Command:
            command = Command(runs or FakeRuns(whole_run()), **fakes)
            served = app(command.runs, command.agents, command.sessions)
            command.address = await stack.enter_async_context(serving(served))
            return command

        yield make
