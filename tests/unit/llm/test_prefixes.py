"""The target that was sent the beginning of a prompt is asked again, as far as it is not too busy."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from services.llm.catalogue.entry import ALL, CatalogueEntry, EngineKind
from services.llm.catalogue.file import BadCatalogue, parse
from services.llm.catalogue.route import Balance, RouteSpec, TargetSpec
from services.llm.chat import Declaration, Message, Role
from services.llm.faults import Fault
from services.llm.needs import Needs
from services.llm.routing.choice import AHEAD, AHEAD_NEW, Choice, Weighed
from services.llm.routing.prefixes import BLOCK, KEPT, LONGEST, SentPrefixes, prefix_of, reading_order
from services.llm.routing.route import Route
from services.llm.routing.target import Target

ENTRY = CatalogueEntry("a", EngineKind.OPENAI, capabilities=ALL)
SYSTEM = "You answer as the manual does. " * 60


def targets(names: str = "ab") -> list[Target]:
    return [Target(replace(ENTRY, name=name)) for name in names]


def choice_of(made: list[Target], seed: int = 1, route: str = "") -> Choice:
    return Choice([Weighed(one) for one in made], random.Random(seed), Balance.PREFIX, route)


def session(name: str, turns: int, system: str = SYSTEM) -> Needs:
    """A conversation of so many turns under a system prompt."""
    said = [f"{name} asks {turn}: " + f"{name}{turn} " * 120 for turn in range(turns)]
    messages = [Message(Role.SYSTEM, system), *(Message(Role.USER, text) for text in said)]
    return Needs(prompt=lambda: reading_order(messages, (), True))


def blocks(needs: Needs) -> list[int]:
    return list(prefix_of(needs.prompt()).blocks)


def counted(route: str) -> dict[str, float]:
    outcomes = ("shared", "busy", "new", "short")
    name = "headworks_route_prefix_choices_total"
    values = {one: REGISTRY.get_sample_value(name, {"route": route, "outcome": one}) for one in outcomes}
    return {one: value for one, value in values.items() if value}


def test_a_prefix_is_what_two_prompts_begin_with() -> None:
    first, second = blocks(session("x", 3)), blocks(session("x", 5))
    assert second[: len(first)] == first
    other = blocks(session("y", 3))
    alike = sum(one == two for one, two in zip(first, other, strict=True))
    assert alike == len(SYSTEM) // BLOCK
    one, two = (prefix_of([beginning * BLOCK, b"x" * BLOCK]).blocks for beginning in (b"a", b"b"))
    assert one[1] != two[1], "what follows another beginning is another block"
    assert len(blocks(Needs(prompt=lambda: [b"x" * 100 * LONGEST]))) == LONGEST // BLOCK
    assert blocks(Needs(prompt=lambda: [b"x" * (BLOCK - 1)])) == []


def test_tools_are_read_after_the_instructions_and_before_the_conversation() -> None:
    tool = Declaration("find", "d" * 500, {"type": "object"})
    system, question = Message(Role.SYSTEM, SYSTEM), Message(Role.USER, "q" * 600)
    asked = b"".join(reading_order([system, question], [tool], True))
    assert asked.index(b"manual") < asked.index(b"find") < asked.index(b"qqq")
    alone = b"".join(reading_order([question], [tool], False))
    assert alone.index(b"find") < alone.index(b"qqq")


def test_a_conversation_stays_where_it_began() -> None:
    made = targets("abcd")
    choice = choice_of(made, route="stays")
    homes = {name: choice.of(session(name, 1, name * 3000)) for name in "stuvwxyz"}
    assert len(set(homes.values())) > 1
    for turns in range(2, 6):
        assert {name: choice.of(session(name, turns, name * 3000)) for name in homes} == homes
    assert counted("stays") == {"new": 8, "shared": 32}


def test_the_longest_beginning_wins() -> None:
    a, b = made = targets()
    a.prefixes.add(blocks(session("x", 1)))
    b.prefixes.add(blocks(session("x", 4)))
    assert choice_of(made).of(session("x", 6)) is b


def test_where_several_have_it_the_less_loaded_is_asked() -> None:
    a, b = made = targets()
    for one in made:
        one.prefixes.add(blocks(session("x", 2)))
    a.in_flight = 2
    assert {choice_of(made, seed).of(session("x", 2)) for seed in range(20)} == {b}


def test_a_target_that_is_too_busy_is_left_to_what_it_does() -> None:
    a, b = made = targets()
    choice = choice_of(made, route="too busy")
    a.prefixes.add(blocks(session("x", 3)))
    a.in_flight = AHEAD
    assert choice.of(session("x", 3)) is a
    a.in_flight = AHEAD + 1
    assert choice.of(session("x", 3)) is b
    a.in_flight = 0
    b.in_flight = 1
    assert choice.of(session("x", 3)) is a, "both have it now"
    assert counted("too busy") == {"shared": 2, "busy": 1}


def test_the_bound_grows_with_the_load() -> None:
    a, b = made = targets()
    a.prefixes.add(blocks(session("x", 3)))
    a.in_flight, b.in_flight = 125, 100
    assert choice_of(made).of(session("x", 3)) is a
    a.in_flight += 1
    assert choice_of(made).of(session("x", 3)) is b


def test_the_bound_is_of_calls_whatever_the_weights() -> None:
    a, b = made = targets()
    choice = Choice([Weighed(one, 100) for one in made], balance=Balance.PREFIX)
    a.prefixes.add(blocks(session("x", 3)))
    a.in_flight = AHEAD + 1
    assert choice.of(session("x", 3)) is b


def test_no_target_is_ever_further_ahead_than_the_bound() -> None:
    """However all prompts are alike, and none ever ends."""
    made = targets("abc")
    choice = choice_of(made)
    for turn in range(300):
        target = choice.of(session("x", 1 + turn % 5))
        assert target is not None
        target.in_flight += 1
        loads = [one.in_flight for one in made]
        assert max(loads) - 1 <= min(loads) + max(AHEAD, min(loads) * 0.25)


def test_those_who_know_nothing_of_one_another_choose_the_same() -> None:
    new = [session(f"caller {number}", 1, f"{number} " * 600) for number in range(200)]
    first = [choice_of(targets("abc"), seed=1).of(one) for one in new]
    second = [choice_of(list(reversed(targets("abc"))), seed=2).of(one) for one in new]
    names = [one.name for one in first if one]
    assert names == [one.name for one in second if one]
    assert min(Counter(names).values()) > 40, "and all have their share"


def test_a_new_prompt_goes_nowhere_that_is_busier() -> None:
    a, b = made = targets()
    new = [session(f"caller {number}", 1, f"{number} " * 600) for number in range(80)]
    a.in_flight = AHEAD_NEW
    assert {choice_of(made).of(one) for one in new[:40]} == {a, b}
    a.in_flight += 1
    assert {choice_of(made).of(one) for one in new[40:]} == {b}


def test_new_prompts_are_shared_by_weight() -> None:
    a, b = targets()
    choice = Choice([Weighed(a, 3), Weighed(b, 1)], balance=Balance.PREFIX)
    chosen = [choice.of(session("x", 1, f"{number} " * 600)) for number in range(400)]
    assert chosen.count(a) == pytest.approx(300, abs=45)


def test_a_little_in_common_is_nothing() -> None:
    """All callers of an agent share its first words: that must not have one target do all the work."""
    made = targets()
    choice = choice_of(made)
    a_little = "Be brief. " * (BLOCK // 10 + 2)
    homes = Counter(choice.of(session(f"caller {number}", 6, a_little)) for number in range(100))
    assert min(homes[one] for one in made) > 20


def test_short_prompts_go_by_load() -> None:
    a, b = made = targets()
    a.in_flight = 1
    assert {choice_of(made, seed).of(Needs()) for seed in range(20)} == {b}


def test_a_target_that_fails_is_not_asked_and_has_forgotten() -> None:
    a, b = made = targets()
    a.prefixes.add(blocks(session("x", 3)))
    for _ in range(5):
        a.failed(Fault.CONNECT)
    assert choice_of(made).of(session("x", 3)) is b
    assert len(a.prefixes) == 0


def test_a_target_that_has_come_back_has_its_trial_however_little_it_knows() -> None:
    now = 100.0
    a, b = made = [Target(replace(ENTRY, name=name), lambda: now) for name in "ab"]
    choice = choice_of(made)
    b.prefixes.add(blocks(session("x", 3)))
    for _ in range(5):
        a.failed(Fault.CONNECT)
    assert choice.of(session("x", 3)) is b
    now += 1.1
    assert choice.of(session("x", 3)) is a
    assert choice.of(session("x", 3)) is b, "one call at a time"
    a.begun(0.1)
    assert not a.breaker.open


def test_the_nearer_order_goes_before_the_longer_prefix() -> None:
    a, b = targets()
    b.prefixes.add(blocks(session("x", 3)))
    choice = Choice([Weighed(a), Weighed(b, order=1)], balance=Balance.PREFIX)
    assert choice.of(session("x", 3)) is a


def test_what_is_remembered_has_a_bound_and_loses_ends_first() -> None:
    sent = SentPrefixes(most=10)
    sent.add(range(8))
    sent.add(range(100, 106))
    assert len(sent) == 10
    assert sent.shared(range(8)) == 4
    for number in range(20):
        sent.add(range(1000 * number, 1000 * number + 7))
    assert len(sent) == 10
    assert KEPT * BLOCK > LONGEST


def test_routes_that_go_by_load_read_no_prompt() -> None:
    def read() -> list[bytes]:
        raise AssertionError

    for balance, made in ((Balance.LOAD, targets()), (Balance.PREFIX, targets("a"))):
        assert Choice([Weighed(one) for one in made], balance=balance).of(Needs(prompt=read)) in made


async def test_a_route_goes_by_what_its_spec_says() -> None:
    made = targets()
    spec = RouteSpec("steady", tuple(TargetSpec(one.name) for one in made), balance=Balance.PREFIX)
    route = Route(spec, ENTRY, [Weighed(one) for one in made])

    class Answer:
        async def aclose(self) -> None: ...

    async def begin(target: Target) -> Answer:
        return Answer()

    homes = []
    for turns in range(1, 9):
        _, report = await route.begin(begin, session("x", turns))
        with route.answering(report):
            homes.append(report.target)
    assert len(set(homes)) == 1


def test_the_catalogue_says_by_what_a_route_goes() -> None:
    file = """
models:
  - {name: a, generator: openai, base_url: "http://h/v1"}
  - {name: b, generator: openai, base_url: "http://i/v1"}
routes:
  - {name: steady, targets: [{model: a}, {model: b}]}
  - {name: warm, balance: prefix, targets: [{model: a}, {model: b}]}
"""
    assert [one.balance for one in parse(file, "models.yaml").routes] == [Balance.LOAD, Balance.PREFIX]
    with pytest.raises(BadCatalogue, match="balance"):
        parse(file.replace("balance: prefix", "balance: luck"), "models.yaml")
