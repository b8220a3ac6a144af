"""What the bench of balancing by prefix asks, and how."""

from collections import Counter

from bench.prefix import cost
from bench.prefix.sides import ENTRY, RoundRobin, by_load, by_prefix
from bench.prefix.workload import Conversation, mixed
from services.llm.chat import Message, Role
from services.llm.generation import Calls, Ended, Finish, Generation, Generator, Piece, Routed, TokenCounts
from tests.fakes.agents import FakeGenerator

SAYS: list[Piece | Calls | Ended] = [Piece("a"), Ended(Finish.STOP, TokenCounts(1, 1))]
ASKED = Generation((Message(Role.SYSTEM, "You answer. " * 100), Message(Role.USER, "why?")))


async def places(generator: Generator) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(20):
        said = [one async for one in generator.generate(ASKED)]
        assert isinstance(said[0], Routed)
        found[said[0].report.target] += 1
    return found


async def test_the_sides_ask_the_same_replicas_in_their_own_ways() -> None:
    engines = {"a": FakeGenerator(SAYS), "b": FakeGenerator(SAYS)}
    assert await places(RoundRobin(engines)) == {"a": 10, "b": 10}
    assert list((await places(by_prefix(engines))).values()) == [20]
    assert set(await places(by_load(engines))) == {f"{ENTRY.name}@0", f"{ENTRY.name}@1"}


def test_every_conversation_has_its_turn_before_any_has_a_second() -> None:
    all_ = [Conversation([], ["?"] * 3) for _ in range(5)]
    turns = list(mixed(all_, 1))
    assert all({id(one) for one in turns[at : at + 5]} == set(map(id, all_)) for at in (0, 5, 10))


def test_a_choice_is_timed_for_every_length() -> None:
    table = cost.table()
    assert [len(values) for _, values in table.rows] == [len(table.columns) - 1] * len(cost.SIZES)
