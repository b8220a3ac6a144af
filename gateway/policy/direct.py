"""Calls that the gateway serves without a run: asked of an upstream, or of the embedder."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from headworks.type.v1 import usage_pb2

from gateway.budgets.model import Cost
from gateway.passthrough.ports import Screen, Spent
from gateway.passthrough.request import Asked
from gateway.policy.admission import Admission
from gateway.policy.ask import Ask
from gateway.policy.followers import Followers
from gateway.policy.screens import Watched
from services.llm.catalogue.entry import Entry
from services.llm.price import Price
from services.llm.tokens import estimate

INSTRUCTING = ("system", "developer")


def of_upstream(asked: Asked, entry: Entry) -> Ask:
    """What is asked of an upstream's model."""
    messages = asked.body["messages"]
    told = [one["content"] for one in messages if one["role"] in INSTRUCTING and isinstance(one.get("content"), str)]
    writes = asked.answer_tokens(entry)
    return Ask(asked.model, asked.texts, "\n".join(told), asked.prompt_tokens, writes, asked.stream)


def of_embedding(model: str, texts: list[str]) -> Ask:
    """Texts to embed: an answer has no tokens."""
    return Ask(model, texts, reads=sum(map(estimate, texts)), writes=0, stream=False, instructs=False)


def screen_of(admission: Admission) -> Screen | None:
    """What makes a screen of each text of the answer; None where nothing screens it."""
    screens = admission.screens
    return None if screens is None else lambda: Watched(screens.stream(), admission.find)


class UpstreamMeter:
    """An admission, as the passthrough counts and books. `price` is the upstream's."""

    def __init__(self, admission: Admission, price: Price, prompt_tokens: int, followers: Followers) -> None:
        self._admission = admission
        self._price = price
        self._prompt_tokens = prompt_tokens
        self._followers = followers

    def take(self, completion_tokens: int) -> bool:
        self._admission.meter.reach(completion_tokens)
        return self._admission.reservation.take(self._used(completion_tokens))

    async def extend(self, completion_tokens: int) -> bool:
        return await self._admission.reservation.extend(self._used(completion_tokens))

    def settle(self, spent: Spent) -> Awaitable[Any]:
        """Books at once; see Meter."""
        usage = usage_pb2.Usage(
            prompt_tokens=spent.prompt_tokens,
            completion_tokens=spent.completion_tokens,
            cached_tokens=spent.cached_tokens,
            cost_nanos=self._price.nanos(spent.prompt_tokens, spent.completion_tokens),
        )
        self._admission.meter.know(usage)
        self._admission.reason = spent.finish_reason
        self._admission.call.audited = True
        written = asyncio.create_task(self._admission.closing())
        self._followers.own(written)
        return written

    def _used(self, completion_tokens: int) -> Cost:
        nanos = self._price.nanos(self._prompt_tokens, completion_tokens)
        return Cost(self._prompt_tokens + completion_tokens, nanos)
