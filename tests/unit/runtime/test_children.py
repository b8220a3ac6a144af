"""Children that die before they begin."""

import signal

import pytest

from services.runtime.children import DiedAtStart, ending, once_more


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
