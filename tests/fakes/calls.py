"""A pipeline that admits every call and remembers what was settled; a screen that changes, holds back, blocks words."""

import asyncio
import re
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.budgets.model import Cost, Unit
from gateway.budgets.reservation import Reservation
from gateway.calls.background import BackgroundTasks
from gateway.calls.call import NOTICE_SHARE, ModelCall
from gateway.calls.held_text import Screen
from gateway.calls.meter import Meter
from gateway.calls.request import ModelRequest
from gateway.guard.edits import Edits
from gateway.guard.finding import Action, Finding, Mode
from gateway.guard.stream import Released
from gateway.limits.model import RateLimitDecision
from services.llm.price import FREE, Price
from services.runtime.call import Call

EVIL = Finding("words", "evil", Action.BLOCK, Mode.ENFORCE, 0, 4)


class Settled(NamedTuple):
    """What a call was settled with."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    finish_reason: str


class FakeReservation(Reservation):
    """`enough` tokens of an answer are reserved; `more` can be had on top."""

    def __init__(self, pipeline: "FakePipeline", prompt_tokens: int) -> None:
        self._pipeline = pipeline
        self._prompt_tokens = prompt_tokens

    def take(self, used: Cost) -> bool:
        return used.tokens <= self._prompt_tokens + self._pipeline.enough

    def left(self, unit: Unit) -> int | None:
        return self._pipeline.left.get(unit)

    async def extend(self, used: Cost) -> bool:
        return used.tokens <= self._prompt_tokens + self._pipeline.enough + self._pipeline.more

    def release(self) -> None:
        self._pipeline.released += 1


@dataclass
class FakePipeline:
    """`screen` looks at answers; `left` is what budgets have. `calls` are those that were
    admitted; `released` counts the abandoned."""

    screen: Screen | None = None
    enough: int = 1 << 30
    more: int = 0
    left: dict[Unit, int] = field(default_factory=dict)
    calls: list[ModelCall] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    released: int = 0
    background: BackgroundTasks = field(default_factory=BackgroundTasks)

    async def admit(self, call: Call, request: ModelRequest, price: Price) -> ModelCall:
        return self.admitted(call, request, price)

    def admitted(self, call: Call, request: ModelRequest, price: Price = FREE) -> ModelCall:
        admitted = ModelCall(
            call, request.model, request.texts, Meter(request.prompt_tokens, price),
            RateLimitDecision(None, (), 0, stream=False), FakeReservation(self, request.prompt_tokens), self._settle,
            self.background, screen=self.screen,
        )  # fmt: skip
        self.calls.append(admitted)
        return admitted

    def _settle(self, call: ModelCall) -> Coroutine[Any, Any, None]:
        meter = call.meter
        self.settled.append(
            Settled(meter.prompt_tokens, meter.completion_tokens, meter.cached_tokens, call.finish_reason)
        )
        return asyncio.sleep(0)


def call_of(seconds: float) -> Call:
    """A call whose answer may take so long: a fifth of its time is for its end."""
    call = Call("POST /v1/chat/completions")
    call.deadline = call.started + seconds / (1 - NOTICE_SHARE)
    return call


class WordScreen:
    """Releases whole words: "secret" as "█", "evil" not at all and nothing after it, all others as they are."""

    def __init__(self) -> None:
        self._rest = ""
        self._edits = Edits()
        self.released_until = 0

    def shift(self, original_index: int) -> int:
        return self._edits.shift(original_index)

    def feed(self, text: str) -> Released:
        whole, space, self._rest = (self._rest + text).rpartition(" ")
        return self._screened(whole + space)

    def whole(self, text: str) -> Released:
        rest, self._rest = self._rest, ""
        return self._screened(rest + text)

    def _screened(self, text: str) -> Released:
        words = text.split(" ")
        blocked = "evil" in words
        if blocked:
            text = "".join(f"{word} " for word in words[: words.index("evil")])
        for found in re.finditer("secret", text):
            self._edits.add(self.released_until + found.start(), self.released_until + found.end(), 1)
        self.released_until += len(text)
        return Released(text.replace("secret", "█"), (), EVIL if blocked else None)


def screened(text: str) -> str:
    """What becomes of a text whole."""
    return WordScreen().whole(text).text


def delta(finish: str | None = None, **said: Any) -> dict[str, Any]:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    return {**head, "choices": [{"index": 0, "delta": said, "finish_reason": finish}]}
