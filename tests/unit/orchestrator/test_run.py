"""A run as a state machine."""

import asyncio
from collections.abc import Sequence

import pytest

from services.llm.chat import Message, Role
from services.orchestrator.domain.event import Body, Event, Finished, FinishReason, Started, TextDelta, UsageReported
from services.orchestrator.runs.agent import RunInput
from services.orchestrator.runs.run import KEPT_EVENTS, Run, RunOver, RunState, new_id


def run_of(*texts: str, over: bool = False) -> Run:
    """A run all of whose events are stored."""
    run = Run(new_id("orchestrator-0"), "acme", "rag", "default")
    add(run, Started("rag", "default"))
    for text in texts:
        add(run, TextDelta(text))
    if over:
        add(run, Finished(FinishReason.STOP))
    return run


def add(run: Run, body: Body) -> Event:
    event = run.append(body)
    run.release(event.sequence)
    return event


async def nothing(run_id: str, after: int) -> Sequence[Event]:
    raise AssertionError(f"all of {run_id} is in memory")


async def read(run: Run, after: int = 0) -> list[int]:
    return [event.sequence async for batch in run.follow(after, nothing) for event in batch]


def test_the_first_event_says_that_it_started() -> None:
    assert run_of().recent[0].body == Started("rag", "default")


def test_sequence_numbers_count_from_one_without_a_gap() -> None:
    run = run_of("a", "b", over=True)
    assert [event.sequence for event in run.recent] == [1, 2, 3, 4]
    assert sorted(event.time for event in run.recent) == [event.time for event in run.recent]


def test_nothing_follows_the_end() -> None:
    run = run_of(over=True)
    for body in (TextDelta("more"), Finished(FinishReason.ERROR)):
        with pytest.raises(RunOver):
            run.append(body)
    assert run.info.finish_reason is FinishReason.STOP


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (FinishReason.STOP, RunState.SUCCEEDED),
        (FinishReason.NO_ANSWER, RunState.SUCCEEDED),
        (FinishReason.CANCELLED, RunState.CANCELLED),
        (FinishReason.DEADLINE_EXCEEDED, RunState.CANCELLED),
        (FinishReason.ERROR, RunState.FAILED),
    ],
)
def test_the_state_follows_from_the_end(reason: FinishReason, state: RunState) -> None:
    run = run_of("a")
    assert (run.info.state, run.info.end_time) == (RunState.RUNNING, None)
    add(run, UsageReported(3, 4))
    end = add(run, Finished(reason))
    info = run.info
    assert (info.state, info.finish_reason, info.last_sequence, info.end_time) == (state, reason, 4, end.time)
    assert info.usage == UsageReported(3, 4)


@pytest.mark.parametrize(
    ("after", "expected"),
    [(0, [1, 2, 3, 4]), (1, [2, 3, 4]), (3, [4]), (4, []), (9, []), (-5, [1, 2, 3, 4]), (1 << 62, [])],
)
async def test_a_late_follower_begins_anywhere(after: int, expected: list[int]) -> None:
    assert await read(run_of("a", "b", over=True), after) == expected


@pytest.mark.parametrize("after", [0, 1, 3, 4, 6, 7, 50])
async def test_a_follower_from_any_point_sees_each_event_once(after: int) -> None:
    run = run_of("a")
    reader = asyncio.create_task(read(run, after))
    for text in "bcd":
        await asyncio.sleep(0)
        add(run, TextDelta(text))
    add(run, Finished(FinishReason.STOP))
    assert await reader == [number for number in range(1, 7) if number > after]


async def test_many_followers_see_the_same() -> None:
    run = run_of()
    readers = [asyncio.create_task(read(run)) for _ in range(50)]
    for number in range(200):
        add(run, TextDelta(str(number)))
        if number % 7 == 0:
            await asyncio.sleep(0)
    add(run, Finished(FinishReason.STOP))
    assert all(found == list(range(1, 203)) for found in await asyncio.gather(*readers))


async def test_a_follower_sees_what_is_added_while_it_looks_at_another() -> None:
    run = run_of("a")
    seen: list[Event] = []
    async for batch in run.follow(0, nothing):
        seen += batch
        if batch[-1].sequence == 2:
            add(run, TextDelta("b"))
            add(run, Finished(FinishReason.STOP))
    assert [event.sequence for event in seen] == [1, 2, 3, 4]


async def test_a_follower_who_leaves_disturbs_nobody() -> None:
    run = run_of()
    stays, leaves = asyncio.create_task(read(run)), asyncio.create_task(read(run))
    await asyncio.sleep(0)
    leaves.cancel()
    add(run, Finished(FinishReason.STOP))
    assert await stays == [1, 2]


async def test_ended_waits_for_the_end() -> None:
    run = run_of()
    waiting = asyncio.create_task(run.ended())
    add(run, TextDelta("a"))
    await asyncio.sleep(0)
    assert not waiting.done()
    add(run, Finished(FinishReason.STOP))
    await asyncio.wait_for(waiting, 1)
    await run.ended()


def test_an_id_names_its_replica() -> None:
    assert new_id("orchestrator-0").startswith("run_orchestrator-0_")
    assert new_id("x") != new_id("x")


async def test_nobody_sees_what_is_not_stored() -> None:
    run = run_of("a")
    reader = asyncio.create_task(read(run))
    run.append(TextDelta("b"))
    run.append(Finished(FinishReason.STOP))
    await asyncio.sleep(0.01)
    assert not reader.done()
    assert not run.over
    run.release(3)
    await asyncio.sleep(0.01)
    assert not reader.done()
    run.release(4)
    assert await reader == [1, 2, 3, 4]


@pytest.mark.parametrize("after", [0, 1, 300, 699, 1499, 1500])
async def test_who_is_far_behind_reads_the_record(after: int) -> None:
    run = run_of()
    told = list(run.recent)
    told += [add(run, TextDelta("a")) for _ in range(1499)]
    assert len(run.recent) <= 2 * KEPT_EVENTS
    asked = []

    async def history(run_id: str, position: int) -> Sequence[Event]:
        asked.append(position)
        return told[position : position + 100]

    add(run, Finished(FinishReason.STOP))
    seen = [event.sequence async for batch in run.follow(after, history) for event in batch]
    assert seen == list(range(after + 1, 1502))
    assert bool(asked) is (after < 1000)


async def test_a_broken_record_ends_readers_and_waiters() -> None:
    run = run_of("a")
    run.append(TextDelta("b"))
    tasks = [asyncio.create_task(each) for each in (read(run), run.ended(), run.saved(3))]
    await asyncio.sleep(0)
    run.end_unstored(RuntimeError("gone"))
    for task in tasks:
        with pytest.raises(RuntimeError, match="gone"):
            await task


def test_a_session_keeps_what_the_caller_said_and_not_the_prompt() -> None:
    told, asked = Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "why?")
    assert RunInput((told, asked), prompt="p@1", prompt_messages=1).said == (asked,)
    assert RunInput((told, asked), prompt="p@1", prompt_messages=2).said == (asked,)  # the prompt asks by itself
    assert RunInput((told, asked)).said == (told, asked)
