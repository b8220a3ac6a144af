"""The record of runs, on SQLite."""

import sqlite3
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.orchestrator.runs.events import Event, Finished, FinishReason, Started, TextDelta, UsageReported
from services.orchestrator.runs.records import Records
from services.orchestrator.runs.run import RunInfo, State
from tests.fakes.serving import until
from tests.unit.orchestrator.conftest import OpenRecords

EVENTS = [
    Event(1, Started("rag", "c"), 1.0),
    Event(2, TextDelta("语"), 2.0),
    Event(3, Finished(FinishReason.STOP), 3.0),
]


def info(number: int, *, over: bool = True, tenant: str = "acme", time: float | None = None) -> RunInfo:
    created = float(number) if time is None else time
    if not over:
        return RunInfo(f"run_x_{number:04}", tenant, "rag", "c", last_sequence=1, create_time=created)
    state, reason = State.SUCCEEDED, FinishReason.STOP
    return RunInfo(
        f"run_x_{number:04}", tenant, "rag", "c", state, reason, 3, created, created + 1, UsageReported(4, 5)
    )


async def written(records: Records, of: RunInfo) -> None:
    await until(lambda: records.get(of.tenant, of.id) == of)


def dropped() -> float:
    return REGISTRY.get_sample_value("headworks_run_records_dropped_total") or 0.0


@pytest.mark.parametrize("over", [True, False])
async def test_a_run_is_read_as_it_was_written(records: Records, over: bool) -> None:
    records.put(info(1, over=over), EVENTS)
    await written(records, info(1, over=over))
    assert records.events("acme", "run_x_0001") == (EVENTS if over else None)


async def test_what_is_unknown(records: Records) -> None:
    assert records.get("acme", "run_x_1") is None
    assert records.events("acme", "run_x_1") is None
    assert records.newest("acme", 10, None) == []


async def test_tenants_do_not_see_each_others_runs(records: Records) -> None:
    records.put(info(1), EVENTS)
    await written(records, info(1))
    assert records.get("other", "run_x_0001") is None
    assert records.events("other", "run_x_0001") is None
    assert records.newest("other", 10, None) == []


async def test_the_later_of_two_records_stands(records: Records) -> None:
    records.put(info(1, over=False), EVENTS[:1])
    records.put(info(1), EVENTS)
    await written(records, info(1))
    assert len(records.newest("acme", 10, None)) == 1


@pytest.mark.parametrize("size", [1, 3, 7, 100])
@pytest.mark.parametrize("same_time", [False, True])
async def test_pages_newest_first_without_gap_or_repetition(records: Records, size: int, same_time: bool) -> None:
    infos = [info(number, time=5.0 if same_time else None) for number in range(10)]
    for one in infos:
        records.put(one, EVENTS)
    await written(records, infos[-1])
    found: list[RunInfo] = []
    while page := records.newest("acme", size, (found[-1].create_time, found[-1].id) if found else None):
        found += page
    assert found == infos[::-1]


async def test_two_replicas_share_one_record(open_records: OpenRecords) -> None:
    first, second = open_records("orchestrator-0"), open_records("orchestrator-1")
    for number in range(200):
        (first if number % 2 else second).put(info(number), EVENTS)
    await until(lambda: len(second.newest("acme", 1000, None)) == len(first.newest("acme", 1000, None)) == 200)
    assert first.events("acme", "run_x_0000") == second.events("acme", "run_x_0001") == EVENTS


async def test_a_restart_ends_the_runs_of_its_own_replica_that_were_lost(open_records: OpenRecords) -> None:
    first, second = open_records("orchestrator-0"), open_records("orchestrator-1")
    first.put(info(1, over=False), EVENTS[:1])
    first.put(info(2), EVENTS)
    second.put(info(3, over=False), EVENTS[:1])
    await written(first, info(2))
    await written(second, info(3, over=False))
    again = open_records("orchestrator-0")
    lost = again.get("acme", "run_x_0001")
    assert lost is not None
    assert (lost.state, lost.finish_reason) == (State.FAILED, FinishReason.ERROR)
    assert lost.end_time is not None
    assert again.get("acme", "run_x_0002") == info(2)
    assert again.get("acme", "run_x_0003") == info(3, over=False)


async def test_closing_writes_what_is_queued(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    records = Records(url, "orchestrator-0", 5000)
    records.open()
    for number in range(2000):
        records.put(info(number), EVENTS)
    records.close()
    again = Records(url, "orchestrator-0", 5000)
    again.open()
    assert len(again.newest("acme", 5000, None)) == 2000
    again.close()


async def test_the_oldest_are_pruned(open_records: OpenRecords) -> None:
    other, records = open_records("orchestrator-1"), open_records("orchestrator-0", 20)
    other.put(info(9000), EVENTS)
    records.put(info(0, over=False), EVENTS[:1])
    await written(records, info(0, over=False))
    for number in range(1, 61):
        records.put(info(number), EVENTS)
    await written(records, info(60))

    def kept() -> list[str]:
        return [run.id for run in records.newest("acme", 1000, None)]

    ids = await until(lambda: found if len(found := kept()) <= 25 else None)
    assert ids[0] == "run_x_9000"
    assert ids[-1] == "run_x_0000", "a run under way is not pruned"
    assert ids[1:21] == [f"run_x_{number:04}" for number in range(60, 40, -1)]


async def test_what_cannot_be_encoded_is_dropped_and_the_rest_is_written(
    records: Records, caplog: pytest.LogCaptureFixture
) -> None:
    before = dropped()
    records.put(info(1), [Event(1, TextDelta("\ud800"), 1.0)])
    records.put(info(2), EVENTS)
    await written(records, info(2))
    assert dropped() == before + 1
    assert "record not encoded" in caplog.text


async def test_a_database_that_fails_and_returns_loses_nothing(
    tmp_path: Path, records: Records, caplog: pytest.LogCaptureFixture
) -> None:
    with sqlite3.connect(f"{tmp_path}/runs.db") as database:
        database.execute("ALTER TABLE runs RENAME TO elsewhere")
        database.commit()
        records.put(info(1), EVENTS)
        await until(lambda: "records not written" in caplog.text)
        database.execute("ALTER TABLE elsewhere RENAME TO runs")
        database.commit()
    database.close()
    await written(records, info(1))
    records.put(info(2), EVENTS)
    await written(records, info(2))
