"""The cache: finds the answer to a call, or lets it ask for all that are equal, and keeps what it gets."""

import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any

from gateway.cache import metrics
from gateway.cache.directives import Directives
from gateway.cache.entry import CachedAnswer, DocumentVersion, Used
from gateway.cache.flights import Flight, FlightEnd, Flights
from gateway.cache.policies import CachePolicies
from gateway.cache.policy import CachePolicy
from gateway.cache.purges import Purges
from gateway.cache.question import Asked, Question
from gateway.cache.semantic.finder import Finder, Lookup
from gateway.cache.stats import CacheStats, StatsBook
from gateway.cache.store import AnswersGone, AnswerStore
from gateway.cache.turn import NO_TURN, CacheStatus, CacheTurn
from services.runtime.identity import Identity
from services.runtime.records.database import Database

log = logging.getLogger(__name__)

Later = Callable[[Coroutine[Any, Any, object]], None]


class AnswerCache:
    """`most_bytes`: of one answer; longer ones are not kept. `later` takes work that no call waits for. `finder`: None
    where nothing is found by meaning."""

    def __init__(
        self, policies: CachePolicies, store: AnswerStore, purges: Purges, most_bytes: int, later: Later,
        finder: Finder | None = None,
    ) -> None:  # fmt: skip
        self._policies = policies
        self._store = store
        self._purges = purges
        self._most_bytes = most_bytes
        self._later = later
        self._finder = finder
        self._flights = Flights()
        self._stats = StatsBook()

    @property
    def stats(self) -> StatsBook:
        return self._stats

    async def begin(
        self, who: Identity, model: str, directives: Directives, asked: Asked | None, seconds: float
    ) -> CacheTurn:
        """The turn of a call that has `seconds`; it must be closed. `asked`: None where the answer is not kept."""
        policy = self._policies.of(who.tenant, model)
        if policy is None:
            return NO_TURN
        question = await asked(policy) if asked is not None and (directives.reads or directives.stores) else None
        if question is None:
            return self._counted(who, model, "bypass", CacheTurn(CacheStatus.BYPASS))
        return await _Search(self, who, model, policy, directives, question, seconds).turn()

    async def all(self, tenant: str) -> AsyncGenerator[CachedAnswer, None]:
        """A tenant's answers, the newest first. Raises AnswersGone."""
        now = time.time()
        async with aclosing(self._store.all(tenant)) as answers:
            async for answer in answers:
                if answer.expires > now:
                    yield answer

    async def purge(
        self, tenant: str, database: Database | None = None, drop: Callable[[CachedAnswer], bool] = lambda _: True
    ) -> int:
        """Drop a tenant's answers, which a transaction of `database` has the other gateways do; how many. Raises
        AnswersGone, RecordsUnavailable."""
        gone = 0
        async with aclosing(self._store.all(tenant)) as answers:
            async for answer in answers:
                if not drop(answer):
                    continue
                await self._store.delete(tenant, answer.key)
                gone += 1
                if self._finder is not None:
                    self._finder.index.drop(answer.partition, answer.key)
        await self._purges.record(tenant, database)
        return gone

    def _counted(self, who: Identity, model: str, outcome: str, turn: CacheTurn) -> CacheTurn:
        stats = self._stats.of(who.tenant, model)
        metrics.LOOKUPS.labels(outcome).inc()
        if turn.answer is None:
            stats.add(**{"bypassed" if outcome == "bypass" else "misses": 1})
            return turn
        used = turn.answer.used
        tokens, nanos = round(used.tokens * (1 - turn.charge)), round(used.cost_nanos * (1 - turn.charge))
        shared, alike = int(outcome == "shared"), int(outcome == "alike")
        stats.add(hits=1, shared=shared, alike=alike, saved_tokens=tokens, saved_nanos=nanos)
        metrics.SAVED_TOKENS.inc(tokens)
        metrics.SAVED_NANOS.inc(nanos)
        return turn


class _Search:
    """The search for one call's answer."""

    def __init__(
        self, cache: AnswerCache, who: Identity, model: str, policy: CachePolicy, directives: Directives,
        question: Question, seconds: float,
    ) -> None:  # fmt: skip
        self._cache = cache
        self._who = who
        self._model = model
        self._policy = policy
        self._directives = directives
        self._question = question
        self._until = time.monotonic() + min(seconds, policy.exact.wait_seconds)

    async def turn(self) -> CacheTurn:
        """A hit, or a miss whose answer is kept."""
        flights, key = self._cache._flights, self._question.key
        if not self._directives.reads:
            return self._miss("bypass", None)
        while (flight := flights.join(key)) is not None:
            end = await flight.wait(self._until - time.monotonic())
            if isinstance(end, CachedAnswer) and self._fresh(end):
                return self._hit(end, "shared")
            if end is not FlightEnd.LEFT:
                return self._miss("miss", None, keeps=False)
        flight = flights.begin(key)
        try:
            found, outcome = await self._stored()
            lookup = await self._alike() if found is None and outcome != "gone" else None
        except BaseException:
            flights.land(key, flight, FlightEnd.LEFT)
            raise
        if found is not None:
            flights.land(key, flight, found)
            return self._hit(found, "hit")
        if lookup is not None and lookup.alike is not None:
            flights.land(key, flight, FlightEnd.LEFT)  # the others may want an equal question's only
            return self._hit(lookup.alike.answer, "alike", lookup.alike.score)
        return self._miss(outcome, flight, lookup)

    async def _stored(self) -> tuple[CachedAnswer | None, str]:
        """The answer that is kept and still holds; without one, why."""
        try:
            return await self._get(self._question.key)
        except AnswersGone:
            return None, "gone"

    async def _get(self, key: str) -> tuple[CachedAnswer | None, str]:
        store, question = self._cache._store, self._question
        found = await store.get(self._who.tenant, key)
        if found is None or found.partition != question.partition or not self._fresh(found):
            return None, "miss"
        if question.current is not None and not await question.current(found):
            self._stats.add(stale=1)
            await store.delete(self._who.tenant, key)
            return None, "stale"
        return found, "hit"

    async def _alike(self) -> Lookup | None:
        """An answer to a question of the same meaning, or what is needed to keep this one's."""
        finder, policy = self._cache._finder, self._policy.semantic
        if finder is None or policy is None or not (self._question.text and self._directives.alike):
            return None

        async def get(key: str) -> CachedAnswer | None:
            return (await self._get(key))[0]

        try:
            return await finder.find(self._who.tenant, self._question, policy, get)
        except AnswersGone:
            return None

    @property
    def _stats(self) -> CacheStats:
        return self._cache._stats.of(self._who.tenant, self._model)

    def _fresh(self, answer: CachedAnswer) -> bool:
        now = time.time()
        oldest = min(self._directives.max_age, self._policy.exact.ttl_seconds)
        return now < answer.expires and now - answer.created <= oldest

    def _hit(self, answer: CachedAnswer, outcome: str, score: float = 1.0) -> CacheTurn:
        age = max(0.0, time.time() - answer.created)
        status = CacheStatus.ALIKE if outcome == "alike" else CacheStatus.HIT
        turn = CacheTurn(status, answer, age=age, score=score, charge=self._policy.charge)
        return self._cache._counted(self._who, self._model, outcome, turn)

    def _miss(self, outcome: str, flight: Flight | None, lookup: Lookup | None = None, keeps: bool = True) -> CacheTurn:
        keep = partial(self._keep, flight, lookup) if keeps and self._directives.stores else None
        leave = partial(self._leave, flight)
        status = CacheStatus.BYPASS if outcome == "bypass" else CacheStatus.MISS
        return self._cache._counted(self._who, self._model, outcome, CacheTurn(status, keep=keep, leave=leave))

    def _leave(self, flight: Flight | None, left: bool) -> None:
        self._land(flight, FlightEnd.LEFT if left else FlightEnd.UNSHARED)

    def _land(self, flight: Flight | None, end: CachedAnswer | FlightEnd) -> None:
        if flight is not None:
            self._cache._flights.land(self._question.key, flight, end)

    def _keep(
        self, flight: Flight | None, lookup: Lookup | None, kind: str, body: bytes, used: Used,
        documents: tuple[DocumentVersion, ...], said: str,
    ) -> None:  # fmt: skip
        """An answer without a body is for its own caller alone."""
        now = time.time()
        answer = CachedAnswer(
            self._question.key, self._question.partition, self._who.tenant, self._who.subject, self._model, kind, now,
            now + self._policy.exact.ttl_seconds, used, body, documents,
        )  # fmt: skip
        if not body or answer.size > self._cache._most_bytes:
            metrics.STORED.labels("declined" if not body else "too_long").inc()
            self._land(flight, FlightEnd.UNSHARED)
            return
        self._land(flight, answer)
        self._cache._later(self._put(answer, now, lookup, said))

    async def _put(self, answer: CachedAnswer, now: float, lookup: Lookup | None, said: str) -> None:
        try:
            await self._cache._store.put(answer, now)
        except AnswersGone:
            metrics.STORED.labels("gone").inc()
            return
        metrics.STORED.labels("kept").inc()
        self._stats.add(stored=1)
        finder = self._cache._finder
        if finder is None or lookup is None or not said:
            return
        finder.keep(lookup, answer, said)
        if (right := await finder.compare(lookup, said)) is not None:
            self._stats.add(compared=1, wrong=int(not right))
