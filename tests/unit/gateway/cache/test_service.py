"""The cache by itself: what it finds by meaning, what it learns, and who waits for whom."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gateway.cache.directives import EVERYTHING, Directives
from gateway.cache.entry import CHAT, CachedAnswer, Used
from gateway.cache.policy import CachePolicy, ExactPolicy, SemanticPolicy
from gateway.cache.question import Question
from gateway.cache.semantic.finder import Finder
from gateway.cache.semantic.verifier import Verifier
from gateway.cache.service import AnswerCache
from gateway.cache.store import AnswersGone, MemoryAnswers
from gateway.cache.turn import CacheStatus, CacheTurn
from gateway.privacy.cached_answers import CachedAnswers
from gateway.privacy.model import DataSubject
from services.runtime.errors import Unavailable
from services.runtime.identity import Identity

WHO = Identity("acme", "ann")
SEMANTIC = CachePolicy(semantic=SemanticPolicy(explore=0))


class FixedPolicies:
    def __init__(self, policy: CachePolicy) -> None:
        self.policy = policy

    def of(self, tenant: str, name: str) -> CachePolicy:
        return self.policy


class NoPurges:
    async def record(self, tenant: str, database: object = None) -> None:
        """Nobody else has answers."""


class Gone(MemoryAnswers):
    async def get(self, tenant: str, key: str) -> CachedAnswer | None:
        raise AnswersGone

    async def put(self, answer: CachedAnswer, now: float) -> None:
        raise AnswersGone


class Side:
    """A cache whose verifier believes every pair that the gates let through. `embeds`: whether there are vectors."""

    def __init__(self, policy: CachePolicy = SEMANTIC, store: MemoryAnswers | None = None) -> None:
        self.chance = 1.0
        self.embeds = True
        self.embedded: list[str] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.finder = finder = Finder(self._embed, Verifier((0.0,) * 7, 5.0, {"en": 0.9}), lambda: self.chance)
        policies: Any = FixedPolicies(policy)
        purges: Any = NoPurges()
        store = store or MemoryAnswers(1 << 20)
        self.cache = AnswerCache(policies, store, purges, 1 << 16, self._later, finder)

    async def _embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        if not self.embeds:
            raise Unavailable("there is no embedder")
        self.embedded += texts
        made = np.ones((len(texts), 4), dtype=np.float32) / 2
        for row, text in zip(made, texts, strict=True):
            if "different" in text:
                row *= (1, -1, 1, -1)
        return made

    def _later(self, work: Coroutine[Any, Any, object]) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def begin(self, text: str, directives: Directives = EVERYTHING, partition: str = "p") -> CacheTurn:
        async def asked(policy: CachePolicy) -> Question:
            return Question(partition, f"{partition}/{text}", None, text)

        return await self.cache.begin(WHO, "small", directives, asked, 20)

    async def ask(self, text: str, answer: str = "Yes.", **more: Any) -> CacheTurn:
        """A turn that is ended: its answer is kept where there was none."""
        turn = await self.begin(text, **more)
        if turn.keeps:
            turn.keep(CHAT, answer.encode(), Used(10, 5, 100), said=answer)
        turn.close()
        await asyncio.gather(*self.tasks)
        return turn

    @property
    def stats(self) -> Any:
        return self.cache.stats.of("acme", "small")


ON, ENABLE, OFF = "How do I turn on dark mode?", "How can I enable dark mode?", "How do I turn off dark mode?"


async def test_a_question_of_the_same_meaning_gets_the_answer() -> None:
    side = Side()
    assert (await side.ask(ON, "Click.")).status is CacheStatus.MISS
    turn = await side.ask(ENABLE)
    assert turn.status is CacheStatus.ALIKE
    assert turn.answer is not None
    assert turn.answer.body == b"Click."
    assert turn.note()["score"] == pytest.approx(turn.score, abs=1e-3)
    assert (await side.ask(OFF)).status is CacheStatus.MISS
    assert (side.stats.hits, side.stats.alike, side.stats.misses) == (1, 1, 2)


@pytest.mark.parametrize("more", [{"directives": Directives(alike=False)}, {"partition": "another"}])
async def test_no_answer_goes_where_it_is_not_wanted(more: dict[str, Any]) -> None:
    side = Side()
    await side.ask(ON)
    assert (await side.ask(ENABLE, **more)).status is CacheStatus.MISS


async def test_without_a_policy_for_it_nothing_is_embedded() -> None:
    side = Side(CachePolicy())
    await side.ask(ON)
    assert (await side.ask(ENABLE)).status is CacheStatus.MISS
    assert side.embedded == []


async def test_without_an_embedder_equal_questions_are_still_found() -> None:
    side = Side()
    side.embeds = False
    await side.ask(ON)
    assert (await side.ask(ENABLE)).status is CacheStatus.MISS
    assert (await side.ask(ON)).status is CacheStatus.HIT


async def test_an_answer_that_was_wrong_is_not_given_by_meaning_again() -> None:
    side = Side(CachePolicy(semantic=SemanticPolicy(explore=0.01)))
    await side.ask(ON, "Click the moon.")
    side.chance = 0.0
    assert (await side.ask(ENABLE, "A different thing.")).status is CacheStatus.MISS
    assert (side.stats.compared, side.stats.wrong) == (1, 1)
    side.chance = 1.0
    await side.cache.purge("acme", drop=lambda answer: answer.key.endswith(ENABLE))
    assert (await side.ask("How do I activate dark mode?")).status is CacheStatus.MISS


async def test_an_answer_that_was_right_stays() -> None:
    side = Side(CachePolicy(semantic=SemanticPolicy(explore=0.01)))
    await side.ask(ON, "Click the moon.")
    side.chance = 0.0
    await side.ask(ENABLE, "Click on the moon.")
    assert (side.stats.compared, side.stats.wrong) == (1, 0)
    side.chance = 1.0
    assert (await side.ask("How do I activate dark mode?")).status is CacheStatus.ALIKE


async def test_what_is_purged_is_found_by_nothing() -> None:
    side = Side()
    await side.ask(ON)
    await side.cache.purge("acme")
    assert (await side.ask(ENABLE)).status is CacheStatus.MISS


async def test_what_a_person_was_answered_is_exported_and_erased() -> None:
    side = Side()
    await side.ask(ON, "Click.")
    source = CachedAnswers(side.cache)
    [item] = [each async for each in source.export(DataSubject("acme", "ann"))]
    assert item["answer"] == "Click."
    assert [each async for each in source.export(DataSubject("acme", "ben"))] == []
    assert [each async for each in source.erase(DataSubject("acme", "ben"))] == [{"cached_answers": 0}]
    assert (await side.ask(ON)).status is CacheStatus.HIT
    assert [each async for each in source.erase(DataSubject("acme", "ann"))] == [{"cached_answers": 1}]
    assert not any(each.known for each in side.finder.index._partitions.values())
    assert (await side.ask(ENABLE)).status is CacheStatus.MISS


async def test_answers_that_are_gone_are_misses() -> None:
    side = Side(store=Gone(1 << 20))
    for _ in range(2):
        assert (await side.ask(ON)).status is CacheStatus.MISS


async def test_memory_is_bounded_by_bytes() -> None:
    store = MemoryAnswers(5_000)
    side = Side(CachePolicy(), store)
    for number in range(50):
        await side.ask(f"question {number}", "x" * 500)
    assert store.bytes <= 5_000
    assert (await side.ask("question 49")).status is CacheStatus.HIT
    assert (await side.ask("question 0")).status is CacheStatus.MISS


async def test_an_answer_is_no_older_than_the_policy_of_today_says() -> None:
    side = Side(CachePolicy())
    await side.ask(ON)
    policies: Any = side.cache._policies
    policies.policy = CachePolicy(exact=ExactPolicy(ttl_seconds=1e-9))
    assert (await side.ask(ON)).status is CacheStatus.MISS


async def test_those_who_wait_are_as_many_as_there_are_calls() -> None:
    side = Side(CachePolicy())
    first = await side.begin(ON)
    others = [asyncio.create_task(side.begin(ON)) for _ in range(5)]
    await asyncio.sleep(0)
    first.close(left=True)
    done, waiting = await asyncio.wait(others, timeout=1, return_when=asyncio.FIRST_COMPLETED)
    [leader] = done
    leader.result().keep(CHAT, b"Yes.", Used())
    assert {(await each).status for each in waiting} == {CacheStatus.HIT}
