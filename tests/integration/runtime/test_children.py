"""Children that die before they begin, and children that are killed while they write."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from typing import Any

import pytest
import uvloop

from services.runtime.children import DiedAtStart, ended, ending, once_more


class Start:
    """Dies so many times before it begins."""

    def __init__(self, deaths: int) -> None:
        self.deaths = deaths
        self.attempts = 0

    async def __call__(self) -> str:
        self.attempts += 1
        if self.attempts <= self.deaths:
            raise DiedAtStart("the reader", -signal.SIGSEGV)
        return "begun"


@pytest.mark.parametrize("deaths", [0, 1])
async def test_one_that_dies_is_started_once_more(deaths: int) -> None:
    start = Start(deaths)
    assert await once_more(start) == "begun"
    assert start.attempts == deaths + 1


async def test_one_that_dies_again_is_named_with_its_end() -> None:
    start = Start(9)
    with pytest.raises(DiedAtStart, match="the reader did not begin: killed by SIGSEGV"):
        await once_more(start)
    assert start.attempts == 2


@pytest.mark.parametrize(
    ("code", "said"), [(0, "exited with code 0"), (3, "exited with code 3"), (-9, "killed by SIGKILL"),
                       (-99, "killed by signal 99")]
)  # fmt: skip
def test_how_a_process_ended(code: int, said: str) -> None:
    assert ending(code) == said


async def killed_while_it_writes() -> int:
    """A child whose output fills its pipe, and all that asyncio reads ahead."""
    flood = "import sys; sys.stdout.write('x' * 3_000_000); sys.stdout.flush()"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", flood, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    assert await process.stdout.readexactly(1)  # it writes on, and nobody reads on
    process.kill()
    async with asyncio.timeout(20):
        return await ended(process)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_one_that_is_killed_while_it_writes_is_waited_for(run: Any) -> None:
    assert run(killed_while_it_writes()) == -signal.SIGKILL
