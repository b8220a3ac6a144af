"""Calls under way whose callers are let in no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from gateway.identity.errors import IdentityStale, TenantSuspended
from gateway.identity.open_calls import OpenCalls
from services.runtime.call import Call
from services.runtime.errors import DomainError, Unauthenticated
from services.runtime.identity import Identity

ANN, BOB = Identity("acme", "ann", key="k1"), Identity("acme", "bob", key="k2")
SOON = 0.05


@dataclass
class Admission:
    """`refused`: why somebody is let in no more, by the key."""

    refused: dict[str, DomainError] = field(default_factory=dict)
    changes: int = 0
    asked: list[str] = field(default_factory=list)

    def version(self) -> int:
        return self.changes

    async def still(self, caller: Identity) -> Identity:
        self.asked.append(caller.key)
        if caller.key in self.refused:
            raise self.refused[caller.key]
        return caller

    def refuse(self, key: str, error: DomainError) -> None:
        self.refused[key] = error
        self.changes += 1


@asynccontextmanager
async def opened(admission: Admission, seconds: float = 1000) -> AsyncIterator[OpenCalls]:
    calls = OpenCalls(admission, seconds)
    await calls.open()
    try:
        yield calls
    finally:
        await calls.aclose()


async def forever() -> None:
    await asyncio.Event().wait()


async def text() -> str:
    return "served"


def serving(calls: OpenCalls, who: Identity) -> "asyncio.Task[None]":
    return asyncio.create_task(calls.serve(Call("/x/Y"), who, forever))


@pytest.mark.parametrize("error", [Unauthenticated("the API key is not valid any more"), TenantSuspended("acme")])
async def test_all_calls_of_a_caller_end_and_no_others(error: DomainError) -> None:
    admission = Admission()
    async with opened(admission) as calls:
        tasks = [serving(calls, who) for who in (ANN, ANN, BOB)]
        await asyncio.sleep(0)
        admission.refuse("k1", error)
        for task in tasks[:2]:
            with pytest.raises(type(error)) as caught:
                await asyncio.wait_for(task, 20)
            assert caught.value is error
        assert not tasks[2].done()
        assert (await calls.serve(Call("/x/Y"), BOB, text)) == "served"
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert calls._open == {}


async def test_it_is_noted_that_a_call_was_ended() -> None:
    admission, call = Admission(), Call("/x/Y")
    async with opened(admission) as calls:
        task = asyncio.create_task(calls.serve(call, ANN, forever))
        await asyncio.sleep(0)
        admission.refuse("k1", Unauthenticated("no"))
        with pytest.raises(Unauthenticated):
            await asyncio.wait_for(task, 20)
    assert call.notes["decision"] == "blocked"


async def test_what_changes_by_time_alone_is_seen_too() -> None:
    admission = Admission()
    async with opened(admission, SOON) as calls:
        task = serving(calls, ANN)
        await asyncio.sleep(0)
        admission.refused["k1"] = Unauthenticated("the API key has expired")
        with pytest.raises(Unauthenticated, match="expired"):
            await asyncio.wait_for(task, 20)


async def test_what_is_not_known_for_now_ends_nothing() -> None:
    admission = Admission()
    async with opened(admission) as calls:
        task = serving(calls, ANN)
        await asyncio.sleep(0)
        admission.refuse("k1", IdentityStale())
        async with asyncio.timeout(20):
            while admission.asked.count("k1") < 1:
                await asyncio.sleep(0.01)
        await calls.look()
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_caller_is_looked_at_once_however_many_calls_there_are() -> None:
    admission = Admission()
    calls = OpenCalls(admission)
    tasks = [serving(calls, who) for who in (ANN,) * 5 + (BOB,)]
    await asyncio.sleep(0)
    await calls.look()
    assert sorted(admission.asked) == ["k1", "k2"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_limit_further_in_stays_what_it_is() -> None:
    async def limited() -> None:
        async with asyncio.timeout(0):
            await forever()

    with pytest.raises(TimeoutError):
        await OpenCalls(Admission()).serve(Call("/x/Y"), ANN, limited)


async def test_a_look_that_fails_is_tried_again() -> None:
    class Broken(Admission):
        async def still(self, caller: Identity) -> Identity:
            self.asked.append(caller.key)
            if len(self.asked) == 1:
                raise RuntimeError("once")
            raise Unauthenticated("no")

    async with opened(Broken()) as calls:
        with pytest.raises(Unauthenticated):
            await asyncio.wait_for(serving(calls, ANN), 20)
