"""The record of runs, on SQLite and on PostgreSQL."""

import pytest
from sqlalchemy.exc import IntegrityError

from services.llm.chat import Message, Role
from services.orchestrator.domain.event import Event, Finished, FinishReason, Started, TextDelta, UsageReported
from services.orchestrator.runs.access import Viewer
from services.orchestrator.runs.agent import RunInput
from services.orchestrator.runs.codec import encode, encode_ask
from services.orchestrator.runs.records import RunFilter, RunRecords
from services.orchestrator.runs.run import RunInfo, RunState
from services.orchestrator.runs.statements import INSERT_EVENTS, INSERT_RUN, Batch, Fenced, Row, RunRows, RunSink
from tests.integration.orchestrator.conftest import OpenRecords

EVENTS = [
    Event(1, Started("rag", "c"), 1.0),
    Event(2, TextDelta("语"), 2.0),
    Event(3, Finished(FinishReason.STOP), 3.0),
]
ASK = RunInput((Message(Role.USER, "why?"),))
ALL = RunFilter()


def info(number: int, *, over: bool = True, time: float | None = None, session: str = "") -> RunInfo:
    created = float(number) if time is None else time
    state, reason, end = (
        (RunState.SUCCEEDED, FinishReason.STOP, created + 1) if over else (RunState.RUNNING, None, None)
    )
    return RunInfo(
        f"run_x_{number:04}", "acme", "rag", "c", state, reason, 3 if over else 1, created, end,
        UsageReported(4, 5, 6, 7, 1), 2, session, (), "orchestrator-0", "ann",
    )  # fmt: skip


def row(of: RunInfo, owner: str) -> Row:
    return {
        "id": of.id, "tenant": of.tenant, "owner": owner, "replica": of.replica, "model": of.model,
        "agent_version": of.agent_version, "collection": of.collection, "session_id": of.session_id,
        "state": int(of.state), "finish_reason": of.finish_reason, "last_sequence": of.last_sequence,
        "create_time": of.create_time, "end_time": of.end_time, "prompt_tokens": 4, "completion_tokens": 5,
        "cached_tokens": 6, "cost_nanos": 7, "reasoning_tokens": 1, "pending": "[]", "detached": 1, "seconds": 30.0,
        "expires": None,
        "ask": encode_ask(ASK), "refresh_token": "secret", "subject": "ann",
    }  # fmt: skip


async def write(records: RunRecords, batch: Batch) -> None:
    async with records.database.write() as connection:
        await RunSink().write(connection, [RunRows(batch, records.incarnation)])


async def put(records: RunRecords, *infos: RunInfo) -> None:
    """Write runs, with EVENTS or the first of them."""
    batch: Batch = {
        INSERT_RUN: [row(of, records.incarnation) for of in infos],
        INSERT_EVENTS: [
            {"run_id": of.id, "first": 1, "last": of.last_sequence, "data": encode(EVENTS[: of.last_sequence])}
            for of in infos
        ],
    }
    await write(records, batch)


@pytest.fixture
async def records(open_records: OpenRecords) -> RunRecords:
    records = await open_records()
    await records.join()
    return records


@pytest.mark.parametrize("over", [True, False])
async def test_a_run_is_read_as_it_was_written(records: RunRecords, over: bool) -> None:
    await put(records, info(1, over=over))
    assert await records.get("acme", "run_x_0001") == info(1, over=over)
    assert await records.events("run_x_0001") == EVENTS[: 3 if over else 1]


@pytest.mark.parametrize("after", [0, 1, 3, 4, 9, 10, 99])
@pytest.mark.parametrize("limit", [1, 4, 1000])
async def test_events_after_a_sequence_number(records: RunRecords, after: int, limit: int) -> None:
    await put(records, info(1, over=False))
    for first in range(2, 11, 3):
        some = [Event(number, TextDelta("a"), 1.0) for number in range(first, first + 3)]
        rows: list[Row] = [{"run_id": "run_x_0001", "first": first, "last": first + 2, "data": encode(some)}]
        await write(records, {INSERT_EVENTS: rows})
    seen: list[int] = []
    position = after
    while batch := await records.events("run_x_0001", position, limit):
        seen += [event.sequence for event in batch]
        position = seen[-1]
    assert seen == list(range(after + 1, 11))


async def test_what_is_unknown(records: RunRecords) -> None:
    assert await records.get("acme", "run_x_1") is None
    assert await records.events("run_x_1") == []
    assert await records.newest(Viewer("acme", others=True), 10, None, ALL) == []


async def test_tenants_do_not_see_each_others_runs(records: RunRecords) -> None:
    await put(records, info(1))
    assert await records.get("other", "run_x_0001") is None
    assert await records.newest(Viewer("other", others=True), 10, None, ALL) == []


@pytest.mark.parametrize("size", [1, 3, 7, 100])
@pytest.mark.parametrize("same_time", [False, True])
async def test_pages_newest_first_without_gap_or_repetition(records: RunRecords, size: int, same_time: bool) -> None:
    infos = [info(number, time=5.0 if same_time else None) for number in range(10)]
    await put(records, *infos)
    found: list[RunInfo] = []
    while page := await records.newest(
        Viewer("acme", others=True), size, (found[-1].create_time, found[-1].id) if found else None, ALL
    ):
        found += page
    assert found == infos[::-1]


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (ALL, [3, 2, 1]),
        (RunFilter(RunState.RUNNING), [2]),
        (RunFilter(RunState.SUCCEEDED), [3, 1]),
        (RunFilter(session_id="s"), [3]),
        (RunFilter(RunState.RUNNING, "s"), []),
    ],
)
async def test_runs_by_state_and_session(records: RunRecords, of: RunFilter, expected: list[int]) -> None:
    await put(records, info(1), info(2, over=False), info(3, session="s"))
    assert [int(found.id[-4:]) for found in await records.newest(Viewer("acme", others=True), 10, None, of)] == expected


async def test_nothing_is_written_by_halves(records: RunRecords) -> None:
    refused = {**row(info(1), records.incarnation), "tenant": None}
    with pytest.raises(IntegrityError):
        await write(records, {INSERT_RUN: [row(info(2), records.incarnation), refused]})
    assert await records.get("acme", "run_x_0002") is None


async def test_what_is_written_again_changes_nothing(records: RunRecords) -> None:
    await put(records, info(1))
    await put(records, info(1))
    assert await records.events("run_x_0001") == EVENTS


async def test_a_restart_has_the_runs_that_its_replica_left(open_records: OpenRecords) -> None:
    first, second = [await open_records(f"orchestrator-{number}") for number in range(2)]
    await first.join()
    await second.join()
    await put(first, info(1, over=False), info(2))
    again = await open_records("orchestrator-0")
    await again.join()
    (left,) = await again.left([])
    assert (left.info, left.ask, left.refresh_token, left.detached) == (info(1, over=False), ASK, "secret", True)
    assert await second.left([]) == await first.left([]) == []
    assert await again.left(["run_x_0001"]) == []


async def test_who_was_given_up_cannot_write(open_records: OpenRecords) -> None:
    first, second = [await open_records(f"orchestrator-{number}") for number in range(2)]
    for records in (first, second):
        await records.join()
    await put(first, info(1, over=False))
    beat = (await second.beat(second.incarnation))[first.incarnation]
    await first.beat(first.incarnation)
    assert not await second.claim(first.incarnation, beat), "it has said since that it lives"
    beat = (await second.beat(second.incarnation))[first.incarnation]
    assert await second.claim(first.incarnation, beat)
    assert not await second.claim(first.incarnation, beat), "one claims"
    with pytest.raises(Fenced):
        await put(first, info(2))
    with pytest.raises(Fenced):
        await first.beat(first.incarnation)
    assert await second.get("acme", "run_x_0002") is None
    assert [left.info.id for left in await second.left([])] == ["run_x_0001"]
    assert [left.info.replica for left in await second.left([])] == ["orchestrator-1"]


async def test_the_oldest_are_pruned(open_records: OpenRecords) -> None:
    other, records = await open_records("orchestrator-1"), await open_records("orchestrator-0", 20)
    await records.join()
    await put(records, info(0, over=False), *(info(number) for number in range(1, 61)))
    assert await records.prune() == 40
    assert await records.prune() == 0
    ids = [run.id for run in await other.newest(Viewer("acme", others=True), 1000, None, ALL)]
    assert ids == [f"run_x_{number:04}" for number in range(60, 40, -1)] + ["run_x_0000"]
    assert await records.events("run_x_0001") == []
    assert await records.events("run_x_0000")
