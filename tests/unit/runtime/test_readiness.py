"""When a dependency is gone, and when it is back, by a clock that the tests drive."""

import logging

import pytest

from services.runtime.health import PATIENCE, STOOD_STILL, Readiness


class World:
    """Dependencies that answer, fail, or say that they are not well, and the time."""

    def __init__(self, *vital: str, **checks: bool) -> None:
        self.now = 1000.0
        self.well = dict(checks)
        self.late = 0.0
        optional = {name: self._check(name) for name in checks}
        self.readiness = Readiness([], {}, optional, vital, clock=lambda: self.now)

    def _check(self, name: str):  # type: ignore[no-untyped-def]
        async def check() -> bool:
            self.now += self.late
            if not self.well[name]:
                raise ConnectionError("no answer")
            return True

        return check

    async def round(self, seconds: float = 1.0, **changes: bool) -> list[str]:
        """What is missing after `seconds`, when all have been looked at again."""
        self.well |= changes
        self.now += seconds
        for name in self.well:
            await self.readiness.look(name)
        return self.readiness.missing()


async def test_gone_is_what_has_failed_for_a_while_and_back_what_answers() -> None:
    world = World("store", store=True)
    assert await world.round() == []
    found = [await world.round(store=False) for _ in range(6)]
    assert found == [[], [], [], ["store"], ["store"], ["store"]]
    assert await world.round(store=True) == []


async def test_the_moment_counts_not_the_round() -> None:
    world = World("store", store=True)
    await world.round()
    await world.round(store=False)
    world.now += PATIENCE - 1.0 - 0.01
    assert world.readiness.missing() == []
    world.now += 0.01
    assert world.readiness.missing() == ["store"]


@pytest.mark.parametrize("answers", [[False, True] * 10, [False, False, True] * 7, [False, False, False, True] * 5])
async def test_what_answers_now_and_then_is_not_gone(answers: list[bool]) -> None:
    world = World("store", store=True)
    await world.round()
    assert [await world.round(store=each) for each in answers] == [[]] * len(answers)


async def test_nothing_is_well_before_it_has_answered() -> None:
    world = World("a", a=True, b=False)
    assert world.readiness.missing() == ["a", "b"]
    assert await world.round() == ["b"]


async def test_an_outage_has_one_end() -> None:
    """The orchestrator, which needs retrieval, says so later than retrieval, and is back later."""
    world = World("orchestrator", "retrieval", orchestrator=True, retrieval=True)
    await world.round()
    seen = [await world.round(retrieval=False) for _ in range(4)]
    seen += [await world.round(orchestrator=False) for _ in range(2)]
    assert seen[:3] == [[]] * 3
    assert seen[3] == ["retrieval"]
    assert seen[4:] == [["orchestrator", "retrieval"]] * 2
    assert await world.round(retrieval=True) == ["orchestrator"]
    assert await world.round(orchestrator=True) == []
    assert await world.round(orchestrator=False) == []


async def test_what_the_mesh_can_do_without_makes_nothing_else_impatient() -> None:
    world = World("orchestrator", orchestrator=True, triton=True)
    await world.round()
    for _ in range(6):
        await world.round(triton=False)
    assert await world.round(orchestrator=False) == ["triton"]


async def test_a_process_that_stood_still_blames_nobody() -> None:
    world = World("store", store=True)
    await world.round()
    world.late = 60.0  # it was frozen, and its own checks ran out of time
    assert await world.round(store=False) == []
    world.late = 0.0
    assert await world.round(store=True) == []
    assert STOOD_STILL < 60.0


async def test_only_the_turn_to_bad_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "services.runtime.health")
    world = World("store", store=True)
    await world.round()
    for _ in range(6):
        await world.round(store=False)
    await world.round(store=True)
    said = [(record.levelname, record.message) for record in caplog.records]
    assert said == [
        ("INFO", "dependency is well"),
        ("WARNING", "dependency is gone"),
        ("INFO", "dependency is well"),
    ]
