"""A route as a generator: what runs ask."""

import math
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from services.llm.catalogue.entry import Capability
from services.llm.chat import Declaration, Form, Message, Role
from services.llm.generation import Generation, Generator, Lost, Routed, Said
from services.llm.needs import Needs
from services.llm.route_report import RouteReport
from services.llm.routing.prefixes import reading_order
from services.llm.routing.resuming import Continuation
from services.llm.routing.route import Route
from services.llm.routing.target import Target
from services.llm.tokens import estimate_generation
from services.runtime.call import current_or_none
from services.runtime.errors import DomainError


class _Pieces:
    """An answer of a target that has begun: its first piece, and the rest."""

    def __init__(self, first: Said, rest: AsyncGenerator[Said, None]) -> None:
        self.first = first
        self.rest = rest

    async def aclose(self) -> None:
        await self.rest.aclose()


class _Asking:
    """Asks a target for a generation. `lost`: what was seen of the last answer that came to nothing."""

    def __init__(self, generators: Mapping[str, Generator], generation: Generation) -> None:
        self._generators = generators
        self._generation = generation
        self.lost: Lost | None = None

    async def begin(self, target: Target) -> _Pieces:
        self.lost = None
        pieces = self._generators[target.name].generate(self._generation)
        try:
            async for piece in pieces:
                if type(piece) is not Lost:
                    return _Pieces(piece, pieces)
                self.lost = piece
        except BaseException as error:
            if isinstance(error, DomainError):
                error.begun = self.lost is not None
            await pieces.aclose()
            raise
        raise RuntimeError(f"{target.name} ended without saying why")


class RoutedGenerator:
    """Asks the targets of a route by their `generators`, which have the names of the models. Of a route over several
    the first thing said is Routed."""

    def __init__(self, route: Route, generators: Mapping[str, Generator]) -> None:
        self.route = route
        self._generators = generators
        self._several = len(route.targets) > 1 or route.entry.name != route.targets[0].target.name
        self.name = generators[route.targets[0].target.name].name

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        """By the target that is asked first; by another where that one cannot."""
        names = [one.target.name for one in self.route.targets if one.target.ready] or list(self._generators)
        for name in names[:-1]:
            try:
                return await self._generators[name].count(messages, tools)
            except DomainError:
                continue
        return await self._generators[names[-1]].count(messages, tools)

    async def generate(self, generation: Generation) -> AsyncGenerator[Said, None]:
        asking = _Asking(self._generators, generation)
        try:
            answer, report = await self.route.begin(asking.begin, _needs(generation), _left)
        except DomainError:
            if asking.lost is not None:
                yield asking.lost
            raise
        said = self._resumed(answer, report, generation) if self.route.spec.resume else self._said(answer, report)
        async with aclosing(said) as pieces:
            async for piece in pieces:
                yield piece

    async def _said(self, answer: _Pieces, report: RouteReport) -> AsyncGenerator[Said, None]:
        with self.route.answering(report):
            if self._several:
                yield Routed(report)
            async with aclosing(answer.rest) as rest:
                yield answer.first
                async for piece in rest:
                    yield piece

    async def _resumed(
        self, answer: _Pieces, report: RouteReport, generation: Generation
    ) -> AsyncGenerator[Said, None]:
        """The answer, where another target goes on with it once it breaks off, and perhaps a third."""
        continuation = Continuation(generation)
        while True:
            lost: Lost | None = None
            started = time.monotonic()
            try:
                async with aclosing(self._said(answer, report)) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, Lost):
                            lost = piece
                            continue
                        for one in continuation.taken(piece):
                            yield one
                return
            except DomainError as error:
                try:
                    if not continuation.possible:
                        raise
                    asking = _Asking(self._generators, continuation.generation())
                    took = time.monotonic() - started
                    answer, report = await self.route.go_on(
                        asking.begin, report, error, _needs(generation), _left, took
                    )
                except DomainError:
                    if lost is not None:
                        yield lost
                    raise


def _left() -> float:
    """Seconds until the deadline of the call being served."""
    call = current_or_none()
    return math.inf if call is None else call.remaining


def _needs(generation: Generation) -> Needs:
    capabilities = set[Capability]()
    if generation.tools:
        capabilities.add(Capability.TOOLS)
    if generation.response_format.form is not Form.TEXT:
        capabilities.add(Capability.JSON_SCHEMA)
    messages = generation.messages
    instructed = bool(messages) and messages[0].role is Role.SYSTEM
    call = current_or_none()
    return Needs(
        frozenset(capabilities),
        lambda: estimate_generation(generation) + 1,
        tenant=call.identity.tenant if call is not None and call.identity is not None else "",
        prompt=lambda: reading_order(messages, generation.tools, instructed),
        said=lambda: [one.content for one in messages if one.role is Role.USER][-2:],
    )
