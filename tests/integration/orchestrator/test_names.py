"""Replicas of one name: who was before is taken over at once, who lives elsewhere is not."""

import asyncio

import pytest

from services.orchestrator.runs.errors import NameTaken
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.heartbeat import Heartbeat
from services.orchestrator.runs.identity import Nobody
from services.orchestrator.runs.records import RunRecords
from services.orchestrator.runs.statements import LEASES
from services.orchestrator.schema.tables import MESH
from services.runtime.records.mesh import claim
from tests.fakes.agents import FakeAgent, FixedAgents
from tests.integration.orchestrator.conftest import OpenExecutor, OpenRecords

FOREVER = 3600.0


async def leases(records: RunRecords) -> set[str]:
    async with records.database.read() as connection:
        return set(await LEASES.read(connection))


@pytest.mark.parametrize(("before", "after"), [("here", "there"), ("", ""), ("here", ""), ("", "here"), ("a", "ab")])
async def test_one_elsewhere_that_lives_keeps_its_name(open_records: OpenRecords, before: str, after: str) -> None:
    first = await open_records(place=before)
    await first.join()
    second = await open_records(place=after, lease=FOREVER)
    assert set(await second.join()) == {first.incarnation}
    await first.beat(first.incarnation)
    assert set(await second.join()) == {first.incarnation}
    assert await leases(second) == {first.incarnation}
    assert second.incarnation == ""


async def test_one_that_ran_in_the_same_place_is_dead(open_records: OpenRecords) -> None:
    first = await open_records(place="here")
    await first.join()
    second = await open_records(place="here", lease=FOREVER)
    assert not await second.join()
    assert await leases(second) == {second.incarnation}


async def test_one_elsewhere_that_left_in_peace(open_records: OpenRecords) -> None:
    first = await open_records(place="here")
    await first.join()
    await first.leave(first.incarnation)
    second = await open_records(place="there", lease=FOREVER)
    assert not await second.join()


async def test_two_that_start_at_once(open_records: OpenRecords) -> None:
    await claim((await open_records()).database, MESH, "a" * 64, (), "", "")
    both = [await open_records(place=place, lease=FOREVER) for place in ("here", "there")]
    living = await asyncio.gather(*(one.join() for one in both))
    assert sorted(map(len, living)) == [0, 1]


async def test_a_name_that_is_taken(open_executor: OpenExecutor, open_records: OpenRecords) -> None:
    await open_executor(FakeAgent(), beat=0.05)
    records = await open_records(place="there", lease=FOREVER)
    other = Executor(FixedAgents([FakeAgent()]), records, 1)
    with pytest.raises(NameTaken, match=r"'orchestrator-0' is running.*HEADWORKS_ORCHESTRATOR_REPLICA"):
        await Heartbeat(other, records, lambda left: Nobody(), 30, 0.1, FOREVER).open()


async def test_one_that_is_dead_elsewhere_is_waited_for(open_records: OpenRecords) -> None:
    dead = await open_records(place="here")
    await dead.join()
    records = await open_records(place="there", lease=0.3)
    executor = Executor(FixedAgents([FakeAgent()]), records, 1)
    heartbeat = Heartbeat(executor, records, lambda left: Nobody(), 30, 0.05, FOREVER)
    await heartbeat.open()
    assert await leases(records) == {records.incarnation}
    await executor.aclose()
    await heartbeat.aclose()


async def test_one_that_was_given_up_does_not_join_beside_its_successor(
    open_executor: OpenExecutor, open_records: OpenRecords
) -> None:
    stopped = await open_records(place="here", lease=FOREVER)
    await stopped.join()
    successor = await open_executor(FakeAgent(), beat=0.05)  # in the same place
    assert await stopped.join(restarted=False)
    await successor._records.leave(successor._records.incarnation)
    assert not await stopped.join(restarted=False)
