"""A meter that counts what it is told, and a screen that changes, holds back and blocks words."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from gateway.passthrough.ports import Spent


@dataclass
class FakeMeter:
    """`enough` tokens are reserved; `more` can be had on top."""

    enough: int = 1 << 30
    more: int = 0
    taken: list[int] = field(default_factory=list)
    settled: list[Spent] = field(default_factory=list)
    written: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, completion_tokens: int) -> bool:
        self.taken.append(completion_tokens)
        return completion_tokens <= self.enough

    async def extend(self, completion_tokens: int) -> bool:
        return completion_tokens <= self.enough + self.more

    def settle(self, spent: Spent) -> "asyncio.Future[None]":
        self.settled.append(spent)
        self.written.set()
        done = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(done.set_result, None)
        return done


@dataclass(frozen=True, slots=True)
class FakeReleased:
    text: str
    blocked: object | None = None


class WordScreen:
    """Releases whole words: "secret" as "█", "evil" not at all and nothing after it, all others as they are."""

    def __init__(self) -> None:
        self._rest = ""
        self.released_until = 0

    def feed(self, text: str) -> FakeReleased:
        whole, space, self._rest = (self._rest + text).rpartition(" ")
        return self._screened(whole + space)

    def finish(self) -> FakeReleased:
        return self.whole("")

    def whole(self, text: str) -> FakeReleased:
        rest, self._rest = self._rest, ""
        return self._screened(rest + text)

    def _screened(self, text: str) -> FakeReleased:
        words = text.split(" ")
        if "evil" in words:
            text = "".join(f"{word} " for word in words[: words.index("evil")])
            self.released_until += len(text)
            return FakeReleased(text.replace("secret", "█"), "evil")
        self.released_until += len(text)
        return FakeReleased(text.replace("secret", "█"))


def screened(text: str) -> str:
    """What becomes of a text whole."""
    return WordScreen().whole(text).text


def delta(finish: str | None = None, **said: Any) -> dict[str, Any]:
    return {"id": "c1", "created": 7, "model": "m", "choices": [{"index": 0, "delta": said, "finish_reason": finish}]}
