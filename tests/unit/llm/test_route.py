"""Which target a route asks, and what it does about faults, over engines of this test."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from services.llm.catalogue.entry import ALL, BreakerSpec, Capability, CatalogueEntry, EngineKind
from services.llm.catalogue.route import DifficultySpec, HedgeSpec, RouteSpec, TargetSpec
from services.llm.chat import Message, Role, ToolCall
from services.llm.difficulty.judge import DifficultyJudge
from services.llm.errors import (
    ContextTooLong,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamMisconfigured,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from services.llm.faults import Fault, Remedy
from services.llm.generation import Generation, Routed
from services.llm.needs import NOTHING, Needs
from services.llm.route_report import Difficulty, JudgedBy, RouteReport
from services.llm.routing import route as routes
from services.llm.routing.choice import Choice, Weighed
from services.llm.routing.generator import RoutedGenerator
from services.llm.routing.route import NoTarget, Route
from services.llm.routing.target import Target
from services.runtime.call import Call, enter
from services.runtime.errors import FINAL, DeadlineExceeded, DomainError
from services.runtime.identity import Identity
from tests.fakes.models import ScriptedGenerator, says, turns
from tests.fakes.serving import until

ENTRY = CatalogueEntry("a", EngineKind.OPENAI, capabilities=ALL)


class Said:
    """An answer."""

    def __init__(self, by: str) -> None:
        self.by = by
        self.closed = False

    async def aclose(self) -> None:
        self.closed = True


class Engines:
    """What targets do: each takes the next of its deeds, and the last one again and again."""

    def __init__(self, **deeds: Any) -> None:
        self._deeds = {name: list(deed) if isinstance(deed, list) else [deed] for name, deed in deeds.items()}
        self.asked: list[str] = []
        self.said: list[Said] = []
        self.left: list[str] = []

    async def begin(self, target: Target) -> Said:
        self.asked.append(target.name)
        deeds = self._deeds.get(target.name, ["well"])
        deed = deeds.pop(0) if len(deeds) > 1 else deeds[0]
        if isinstance(deed, asyncio.Event):
            try:
                await deed.wait()
            except asyncio.CancelledError:
                self.left.append(target.name)
                raise
        elif deed != "well":
            raise deed()
        self.said.append(Said(target.name))
        return self.said[-1]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def route_of(
    *names: str, clock: Callable[[], float] | None = None, entries: dict[str, Any] | None = None, **more: Any
) -> Route:
    """Over targets of these names, "b:1" for one of the order 1."""
    specs = [TargetSpec(name.partition(":")[0], 1, int(name.partition(":")[2] or 0)) for name in names]
    of = {spec.model: replace(ENTRY, name=spec.model, **(entries or {}).get(spec.model, {})) for spec in specs}
    judge = more.pop("judge", None)
    spec = RouteSpec("steady", tuple(specs), **more)
    made = {name: Target(entry, clock) if clock else Target(entry) for name, entry in of.items()}
    return Route(spec, spec.entry(of), [Weighed(made[one.model], one.weight, one.order) for one in specs], judge=judge)


def target_of(route: Route, name: str) -> Target:
    [target] = [one.target for one in route.targets if one.target.name == name]
    return target


async def asked(route: Route, engines: Engines, needs: Needs = NOTHING, left: float = 60) -> tuple[str, RouteReport]:
    said, report = await route.begin(engines.begin, needs, lambda: left)
    with route.answering(report):
        return said.by, report


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "FIRST_PAUSE", 0.0)


def unavailable() -> DomainError:
    return UpstreamUnavailable("503")


FAULTS: dict[Fault, Callable[[], DomainError]] = {
    Fault.RATE_LIMIT: lambda: UpstreamBusy("429"),
    Fault.OVERLOAD: unavailable,
    Fault.TIMEOUT: lambda: UpstreamTimeout("silent"),
    Fault.CONNECT: lambda: UpstreamUnreachable("nobody listens"),
    Fault.AUTH: lambda: UpstreamMisconfigured("401"),
    Fault.BROKEN: lambda: UpstreamBroken("garbage"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_another_target_answers_for_one_that_cannot(fault: Fault) -> None:
    engines = Engines(a=FAULTS[fault])
    by, report = await asked(route_of("a", "b:1"), engines)
    assert (by, engines.asked, [one.fault for one in report.failed]) == ("b", ["a", "b"], [fault])
    assert report.header == f"steady; target=b; failed=a:{fault}"
    assert report.json["failed"][0]["target"] == "a"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.BAD_REQUEST, lambda: UpstreamRefused("odd")),
        (Fault.CONTENT_POLICY, lambda: UpstreamRefused("no", code="content_filter")),
        (Fault.OURS, lambda: DeadlineExceeded("late")),
    ],
)
async def test_what_no_other_target_can_mend_is_raised(fault: Fault, error: Callable[[], DomainError]) -> None:
    engines = Engines(a=error)
    with pytest.raises(DomainError) as caught:
        await asked(route_of("a", "b:1"), engines)
    assert (engines.asked, caught.value.details["attempts"]) == (["a"], f"a:{fault}")


async def test_a_route_may_say_otherwise() -> None:
    engines = Engines(a=lambda: UpstreamRefused("no", code="content_filter"))
    by, _ = await asked(route_of("a", "b:1", faults={Fault.CONTENT_POLICY: Remedy.OTHER}), engines)
    assert by == "b"
    engines = Engines(a=unavailable)
    with pytest.raises(UpstreamUnavailable):
        await asked(route_of("a", "b:1", faults={Fault.OVERLOAD: Remedy.NEVER}), engines)
    engines = Engines(a=[unavailable, "well"])
    assert (await asked(route_of("a", "b:1", faults={Fault.OVERLOAD: Remedy.AGAIN}), engines))[0] == "a"


async def test_the_last_one_left_is_asked_again() -> None:
    engines = Engines(a=[unavailable, "well"], b=unavailable)
    by, report = await asked(route_of("a", "b:1"), engines)
    assert (by, engines.asked, [one.target for one in report.failed]) == ("a", ["a", "b", "a"], ["a", "b"])
    engines = Engines(a=[unavailable, unavailable, "well"])
    assert (await asked(route_of("a"), engines))[0] == "a"


async def test_what_a_target_has_worked_on_is_not_sent_to_it_again() -> None:
    engines = Engines(a=lambda: UpstreamUnavailable("late", **{FINAL: "true"}))
    with pytest.raises(UpstreamUnavailable):
        await asked(route_of("a"), engines)
    assert engines.asked == ["a"]


async def test_there_are_only_so_many_attempts() -> None:
    engines = Engines(a=unavailable, b=unavailable, c=unavailable)
    with pytest.raises(UpstreamUnavailable) as caught:
        await asked(route_of("a", "b:1", "c:2", attempts=2), engines)
    assert (engines.asked, caught.value.details["attempts"]) == (["a", "b"], "a:overload,b:overload")


async def test_retries_never_become_a_storm() -> None:
    route, engines = route_of("a", "b", retry_share=0.1), Engines(a=unavailable, b=unavailable)
    for one in route.targets:  # the breakers must not hide it
        one.target.failed = lambda fault, retry_after=None: None  # type: ignore[method-assign]
    for _ in range(300):
        with pytest.raises(UpstreamUnavailable):
            await asked(route, engines)
    assert len(engines.asked) <= 300 + 100 + 30 + 2


async def test_a_long_wait_is_left_to_the_caller() -> None:
    engines = Engines(a=lambda: UpstreamUnavailable("503").retry_in(60))
    with pytest.raises(UpstreamUnavailable) as caught:
        await asked(route_of("a"), engines)
    assert (engines.asked, caught.value.retry_after) == (["a"], 60)


async def test_a_prompt_goes_where_it_fits() -> None:
    small, large = {"context_length": 100}, {"context_length": 1000}
    route = route_of("a", "b:1", entries={"a": small, "b": large})
    assert (await asked(route, Engines(), Needs(tokens=lambda: 50)))[0] == "a"
    assert (await asked(route, Engines(), Needs(tokens=lambda: 500)))[0] == "b"
    assert (await asked(route, Engines(), Needs(tokens=lambda: 5000)))[0] == "b", "the longest says by how much"
    engines = Engines(a=lambda: ContextTooLong("too long"))
    assert (await asked(route, engines, Needs(tokens=lambda: 50)))[0] == "b"
    engines = Engines(b=lambda: ContextTooLong("too long"))
    with pytest.raises(ContextTooLong):
        await asked(route, engines, Needs(tokens=lambda: 500))


async def test_only_who_can_is_asked() -> None:
    route = route_of("a", "b:1", entries={"a": {"capabilities": frozenset()}})
    assert (await asked(route, Engines(), Needs(frozenset({Capability.TOOLS}))))[0] == "b"
    assert Capability.TOOLS in route.entry.capabilities


async def test_a_target_that_fails_is_left_out_and_comes_back() -> None:
    clock = Clock()
    spec = {"breaker": BreakerSpec(0.5, 3, 10)}
    route = route_of("a", "b:1", clock=clock, entries={"a": spec, "b": spec})
    engines = Engines(a=[unavailable] * 3 + ["well"])
    for _ in range(5):
        assert (await asked(route, engines))[0] == "b"
    assert engines.asked.count("a") == 3
    clock.now += 1.01
    assert (await asked(route, engines))[0] == "a", "a call on trial"
    assert (await asked(route, engines))[0] == "a"


async def test_a_breaker_that_never_closes_lets_a_call_through_now_and_then() -> None:
    clock = Clock()
    route = route_of("a", clock=clock, entries={"a": {"breaker": BreakerSpec(0.5, 1, 10)}})
    engines = Engines(a=lambda: UpstreamBroken("garbage"))
    refused = 0
    for _ in range(600):
        clock.now += 0.1
        with pytest.raises((NoTarget, UpstreamBroken)) as caught:
            await asked(route, engines)
        refused += isinstance(caught.value, NoTarget)
        if isinstance(caught.value, NoTarget):
            assert 0 < (caught.value.retry_after or 0) <= 8
    assert 6 <= len(engines.asked) <= 14


async def test_who_asks_for_time_again_gets_it() -> None:
    """Once may be about one call: a question that is too large, or that a filter does not like."""
    clock = Clock()
    route = route_of("a", "b:1", clock=clock)
    late = lambda: UpstreamBusy("429").retry_in(30)  # noqa: E731
    engines = Engines(a=[late, late, "well"])
    for _ in range(3):
        assert (await asked(route, engines))[0] == "b"
    assert engines.asked.count("a") == 2
    clock.now += 29
    assert (await asked(route, engines))[0] == "b"
    clock.now += 2
    assert (await asked(route, engines))[0] == "a"


async def test_no_target_is_left_alone_for_longer_than_a_minute() -> None:
    clock = Clock()
    route = route_of("a", "b:1", clock=clock)
    day = lambda: UpstreamBusy("429").retry_in(86400)  # noqa: E731
    engines = Engines(a=[day, day, "well"])
    for _ in range(2):
        await asked(route, engines)
    clock.now += 61
    assert (await asked(route, engines))[0] == "a"


async def test_one_call_takes_no_target_from_others() -> None:
    """Whatever it meets at all of them."""
    route = route_of("a", "b:1")
    engines = Engines(**{name: [lambda: UpstreamUnavailable("500").retry_in(30), "well"] for name in "ab"})
    with pytest.raises(UpstreamUnavailable):
        await asked(route, engines)
    assert (await asked(route, engines))[0] == "a"


async def test_a_silent_target_is_given_up_while_there_is_another() -> None:
    engines = Engines(a=asyncio.Event())
    by, report = await asked(route_of("a", "b:1", first_token_seconds=0.05), engines)
    assert (by, report.failed[0].fault, engines.left) == ("b", Fault.TIMEOUT, ["a"])
    alone = Engines(a=(held := asyncio.Event()))
    task = asyncio.create_task(asked(route_of("a", first_token_seconds=0.05), alone))
    _, waiting = await asyncio.wait({task}, timeout=0.2)
    assert waiting, "where there is none it is waited for"
    held.set()
    assert (await task)[0] == "a"


async def test_the_less_loaded_of_two_is_asked() -> None:
    a, b = (Target(replace(ENTRY, name=name)) for name in "ab")
    choice = Choice([Weighed(a), Weighed(b)], random.Random(1))
    a.in_flight = 5
    assert {choice.of(NOTHING) for _ in range(50)} == {b}
    a.in_flight = 0
    assert {choice.of(NOTHING) for _ in range(50)} == {a} or b.in_flight == 0


async def test_load_is_shared_by_weight() -> None:
    route = route_of("a", "b")
    route = Route(route.spec, route.entry, [Weighed(target_of(route, "a"), 3), Weighed(target_of(route, "b"), 1)])
    busy = {"a": 0, "b": 0}
    for _ in range(400):
        _, report = await route.begin(Engines().begin, NOTHING)
        busy[report.target] += 1  # none of them ends
    assert busy["a"] == pytest.approx(300, abs=10)


def hedging(**more: Any) -> Route:
    route = route_of("a", "b", hedge=HedgeSpec(share=1, least_seconds=0.02), **more)
    target_of(route, "a").slow_seconds = target_of(route, "b").slow_seconds = 0.02
    target_of(route, "b").in_flight = 3  # so that the other one is asked first
    return route


async def test_a_slow_target_is_overtaken() -> None:
    route, engines = hedging(), Engines(a=asyncio.Event())
    by, report = await asked(route, engines)
    assert (by, report.hedged, engines.left) == ("b", True, ["a"])
    assert (target_of(route, "a").in_flight, target_of(route, "b").in_flight) == (0, 3)


async def test_one_that_is_fast_enough_is_not() -> None:
    engines = Engines()
    by, report = await asked(hedging(), engines)
    assert (by, report.hedged, engines.asked) == ("a", False, ["a"])
    assert not engines.said[0].closed


async def test_the_second_of_two_that_fails_ends_nothing() -> None:
    held = asyncio.Event()
    route, engines = hedging(), Engines(a=held, b=unavailable)
    task = asyncio.create_task(asked(route, engines))
    await until(lambda: "b" in engines.asked)
    held.set()
    assert (await task)[0] == "a"


async def test_who_leaves_ends_both() -> None:
    route, engines = hedging(), Engines(a=asyncio.Event(), b=asyncio.Event())
    task = asyncio.create_task(asked(route, engines))
    await until(lambda: "b" in engines.asked)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(engines.left) == ["a", "b"]
    assert (target_of(route, "a").in_flight, target_of(route, "b").in_flight) == (0, 3)


async def test_second_calls_have_a_bound() -> None:
    route = hedging()
    route = Route(replace(route.spec, hedge=HedgeSpec(0.05, 0.001)), route.entry, route.targets)
    engines = Engines(a=asyncio.Event(), b=asyncio.Event())
    tasks = [asyncio.create_task(asked(route, engines)) for _ in range(40)]
    await until(lambda: len(engines.asked) >= 43)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(engines.asked) <= 40 + 3 + 2


async def test_weights_hold_where_nobody_is_busy() -> None:
    route = route_of("a", "b")
    route = Route(route.spec, route.entry, [Weighed(target_of(route, "a"), 3), Weighed(target_of(route, "b"), 1)])
    asked_of = [(await asked(route, Engines()))[0] for _ in range(400)]
    assert asked_of.count("a") == pytest.approx(300, abs=45)


@pytest.mark.parametrize("order", [("a", "b:1"), ("b", "a:1")])
async def test_who_may_be_asked_again_is_whoever_came_last(order: tuple[str, str]) -> None:
    """One target may be asked again and one may not; which of them failed last makes no difference."""
    engines = Engines(a=[unavailable, "well"], b=lambda: UpstreamBusy("429"))
    by, report = await asked(route_of(*order), engines)
    assert (by, sorted(one.target for one in report.failed)) == ("a", ["a", "b"])


async def test_one_refusal_of_one_call_takes_a_target_from_nobody() -> None:
    """Of providers some refuse a single question with 403 or 404."""
    engines = Engines(a=[lambda: UpstreamMisconfigured("403"), "well"])
    route = route_of("a", "b:1")
    assert [(await asked(route, engines))[0] for _ in range(2)] == ["b", "a"]


JUDGE = DifficultyJudge("steady", DifficultySpec("a", "b", explore=0), {}, None)
PROOF = Message(Role.USER, "Prove step by step that the square root of 2 is irrational.")


@pytest.mark.parametrize(
    ("said", "open_", "by"),
    [("Hi!", (), "a"), (PROOF.content, (), "b"), ("Hi!", ("a",), "b"), (PROOF.content, ("b",), "a")],
)
async def test_an_easy_question_is_sent_to_the_small_target_where_that_can_be_asked(
    said: str, open_: tuple[str, ...], by: str
) -> None:
    route = route_of("c", "a:1", "b:2", judge=JUDGE)
    for name in open_:
        target_of(route, name).breaker.hold(10)
    found, report = await asked(route, Engines(), Needs(said=lambda: [said]))
    assert (found, report.difficulty is not None) == (by, True)


async def test_a_preferred_target_on_trial_gets_one_call() -> None:
    clock = Clock()
    route = route_of("a", "b", judge=JUDGE, clock=clock)
    target_of(route, "a").breaker.hold(1)
    clock.now += 2
    needs = Needs(said=lambda: ["Hi!"])
    engines = Engines(a=asyncio.Event())
    trial = asyncio.create_task(asked(route, engines, needs))
    await until(lambda: engines.asked == ["a"])
    assert (await asked(route, engines, needs))[0] == "b"
    assert engines.asked == ["a", "b"]
    trial.cancel()


async def test_the_tenant_of_a_run_has_its_own_judgement() -> None:
    seen = []

    class Judge(DifficultyJudge):
        async def prefer(self, needs: Needs) -> tuple[Needs, Difficulty]:
            seen.append(needs.tenant)
            return await super().prefer(needs)

    judge = Judge("steady", DifficultySpec("a", "b", explore=0), {}, None)
    generators = {name: ScriptedGenerator(turns(says("Well."))) for name in "ab"}
    enter(Call("/x", identity=Identity("acme", "ann")))
    await anext(RoutedGenerator(route_of("a", "b", judge=judge), generators).generate(Generation((PROOF,))))
    assert seen == ["acme"]


async def test_the_other_one_comes_before_those_that_are_not_judged() -> None:
    engines = Engines(a=unavailable)
    by, report = await asked(route_of("c", "a:1", "b:2", judge=JUDGE), engines, Needs(said=lambda: ["Hi!"]))
    assert (by, engines.asked, report.difficulty) == ("b", ["a", "b"], Difficulty(0.0, JudgedBy.HEURISTIC))


async def test_a_target_that_cannot_do_what_is_asked_is_not_preferred() -> None:
    entries = {"a": {"capabilities": frozenset[Capability]()}}
    needs = Needs(frozenset({Capability.TOOLS}), said=lambda: ["Hi!"])
    assert (await asked(route_of("a", "b", entries=entries, judge=JUDGE), Engines(), needs))[0] == "b"


@pytest.mark.parametrize(("messages", "by"), [((PROOF,), "b"), ((Message(Role.USER, "Hi!"),), "a")])
async def test_a_runs_steps_keep_to_the_target_of_its_question(messages: tuple[Message, ...], by: str) -> None:
    later = (*messages, Message(Role.ASSISTANT, "", (ToolCall("1", "f", "{}"),)), Message(Role.TOOL, "4", (), "1"))
    generators = {name: ScriptedGenerator(turns(says("Well."), says("Well."))) for name in "ab"}
    routed = RoutedGenerator(route_of("a", "b", judge=JUDGE), generators)
    for each in (messages, later):
        first = await anext(routed.generate(Generation(each)))
        assert isinstance(first, Routed)
        assert first.report.target == by
