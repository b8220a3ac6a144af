"""What was rendered to be counted is not rendered again to be answered."""

from dataclasses import dataclass

from services.models.llm.rendered import Rendered, key_of


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_is_taken_once() -> None:
    rendered = Rendered()
    rendered.put(b"a", [1, 2])
    assert rendered.take(b"b") is None
    assert rendered.take(b"a") == [1, 2]
    assert rendered.take(b"a") is None


def test_what_nobody_takes_goes_in_time() -> None:
    clock = Clock()
    rendered = Rendered(seconds=10, clock=clock)
    rendered.put(b"old", [1])
    clock.now = 6
    rendered.put(b"new", [2])
    clock.now = 12
    assert rendered.take(b"old") is None
    assert len(rendered) == 1
    assert rendered.take(b"new") == [2]


def test_the_oldest_go_where_there_are_too_many() -> None:
    rendered = Rendered(most=2)
    for number in range(3):
        rendered.put(bytes([number]), number + 1)
    rendered.put(bytes([1]), 9)  # counted again, it is the newest
    rendered.put(bytes([3]), 4)
    assert [rendered.take(bytes([number])) for number in range(4)] == [None, 9, None, 4]


def test_a_key_tells_what_renderings_depend_on() -> None:
    messages = [{"role": "user", "content": "Hello"}]
    assert key_of(messages, {"tools": None}) == key_of([dict(messages[0])], {"tools": None})
    assert key_of(messages, {"tools": None}) != key_of(messages, {"tools": []})
    assert key_of(messages, {"tools": None}) != key_of([{**messages[0], "content": "Hullo"}], {"tools": None})
