"""A route as a bare model: what the gateway asks in OpenAI's own form."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import orjson

from services.llm import errors
from services.llm.catalogue.entry import CatalogueEntry
from services.llm.client import UpstreamReply
from services.llm.handle import BareHandle, BareReply, Wire
from services.llm.needs import NOTHING, Needs
from services.llm.openai.engine import completion, decode
from services.llm.routing.judging import fault_of_upstream
from services.llm.routing.route import Route
from services.llm.routing.target import Target
from services.llm.sse import DONE, EventReader, EventTooLong, data_of
from services.llm.time_left import Deadline
from services.runtime.errors import DomainError

FEW = 3
"""Events at the head of a stream of which one says something, as a rule."""


class _Reply:
    """An answer that has begun well, in the context that it is closed with."""

    def __init__(self, reply: UpstreamReply, context: AbstractAsyncContextManager[BareReply]) -> None:
        self.reply = reply
        self._context = context

    async def aclose(self) -> None:
        await self.reply.close()
        await self._context.__aexit__(None, None, None)


class RoutedBare:
    """Asks the targets of a route by their `handles`, which have the names of the models."""

    def __init__(self, route: Route, handles: Mapping[str, BareHandle]) -> None:
        self._route = route
        self._handles = handles
        self.entry: CatalogueEntry = route.entry
        self.health = route.health

    @asynccontextmanager
    async def post(
        self,
        wire: Wire,
        seconds: float,
        needs: Needs = NOTHING,
        on_sent: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[BareReply]:
        """The answer of the first target whose answer begins well: a whole one that is one, or a stream whose first
        chunk says something."""
        deadline = Deadline(seconds)

        async def begin(target: Target) -> _Reply:
            context = self._handles[target.name].post(wire, deadline.left, needs, on_sent)
            reply = _Reply((await context.__aenter__()).reply, context)
            try:
                await _begun(reply.reply, needs.whole)
            except BaseException as error:
                if isinstance(error, DomainError):
                    error.begun = True
                await reply.aclose()
                raise
            return reply

        answer, report = await self._route.begin(begin, needs, lambda: deadline.left)
        try:
            with self._route.answering(report, fault_of_upstream) as entry:
                yield BareReply(entry, answer.reply, report)
        finally:
            await answer.aclose()


async def _begun(reply: UpstreamReply, whole: bool) -> None:
    """Wait until it is sure that there is an answer. Raises a DomainError where there is none."""
    if whole or reply.is_json:
        body = await reply.whole()
        if not _is_plain(body):
            completion(reply.endpoint, body)
        return
    reader = EventReader()
    while (portion := await reply.ahead()) is not None:
        if any(_says_plainly(data_of(event)) for event in portion.split(b"\n\n", FEW)[:FEW]):
            return
        try:
            events = reader.feed(portion)
        except EventTooLong as error:
            raise errors.broken(reply.endpoint, f"has an event of {error}") from error
        for event in events:
            data = data_of(event)
            if data == DONE:
                raise errors.broken(reply.endpoint, "ended before it began")
            if data:
                chunk = decode(reply.endpoint, event, data)
                if chunk.finish_reason or any(part.counted for part in chunk.parts):
                    return
    raise errors.broken(reply.endpoint, "broke off before it began")


def _is_plain(body: bytes) -> bool:
    """Whether it is a completion beyond doubt; where there is doubt it is read as it will be for the caller."""
    value = _parsed(body)
    choices = value.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return isinstance(first, dict) and not first.get("error") and not value.get("error")


def _says_plainly(data: bytes) -> bool:
    """Whether a chunk says something beyond doubt."""
    value = _parsed(data)
    choices = value.get("choices")
    if value.get("error") or not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return False
    delta = choices[0].get("delta")
    return isinstance(delta, dict) and isinstance(delta.get("content"), str) and delta["content"] != ""


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
