"""Which call the parts of an answer belong to."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.llm.openai.calls import CallNumbers, CallSorter


def part(name: str | None = None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"function": {key: value for key, value in function.items() if value is not None}, **more}


def sorted_calls(*chunks: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    sorter = CallSorter()
    for parts in chunks:
        for place, one in enumerate(parts):
            sorter.add(one, place)
    return [(call.id, call.name, call.arguments) for call in sorter.calls]


@pytest.mark.parametrize(
    ("chunks", "calls"),
    [
        ([[part("f", "{", index=0, id="x")], [part(None, "}", index=0)]], [("x", "f", "{}")]),
        ([[part("f", {"a": 1}, index=0)]], [("", "f", '{"a":1}')]),
        ([[part("f", "{}")], [part("f", "{}")]], [("", "f", "{}"), ("", "f", "{}")]),
        ([[part("f", "{}"), part("f", "{}")]], [("", "f", "{}"), ("", "f", "{}")]),
        ([[part("f", "{}", index=0, id="x")], [part("f", "{}", index=0, id="x")]],
         [("x", "f", "{}"), ("x", "f", "{}")]),
        ([[part("f", "{}", index=0, id="x")], [part("f", "", index=0, id="x")]], [("x", "f", "{}")]),
        ([[part("fi", "", index=0)], [part("nd", "{}", index=0)]], [("", "find", "{}")]),
        ([[part("f", ""), part("g", "")]], [("", "f", ""), ("", "g", "")]),
        ([[part("f", "{", id="x")], [part("g", "[", id="y")], [part(None, "}", id="x")], [part(None, "]", id="y")]],
         [("x", "f", "{}"), ("y", "g", "[]")]),
        ([[part(None, "{", index=0)], [part("f", "}", index=0, id="x")]], [("", "f", "{}")]),
        ([[part("f", "{}", index="0")], [part("g", "{}", index=None)]], [("", "f", "{}"), ("", "g", "{}")]),
    ],
)  # fmt: skip
def test_parts_find_their_calls(chunks: list[Any], calls: list[Any]) -> None:
    assert sorted_calls(*chunks) == calls


NAMES = st.sampled_from([None, "", "f", "g"])
PARTS = st.builds(
    lambda name, arguments, id_, index: part(name, arguments, id=id_, index=index),
    NAMES,
    st.sampled_from([None, "", "{", "}", "{}", '{"a":1}']),
    st.sampled_from([None, "", "x", "y"]),
    st.sampled_from([None, 0, 1, 7]),
)


@given(st.lists(st.lists(PARTS, min_size=1, max_size=3), max_size=8))
def test_no_part_is_lost_and_indexes_are_in_order(chunks: list[list[dict[str, Any]]]) -> None:
    written = sorted("".join(one["function"].get("arguments") or "" for parts in chunks for one in parts))
    numbers = CallNumbers()
    begun: list[int] = []
    for parts in chunks:
        numbers.mend({"index": 0, "delta": {"tool_calls": parts}})
        begun += [one["index"] for one in parts]
    assert all(index <= max(begun[:at], default=-1) + 1 for at, index in enumerate(begun))
    assert sorted("".join(one["function"].get("arguments") or "" for parts in chunks for one in parts)) == written


def mended(*chunks: list[dict[str, Any]]) -> list[Any]:
    numbers = CallNumbers()
    for parts in chunks:
        numbers.mend({"index": 0, "delta": {"tool_calls": parts}})
    return [one.get("id") for parts in chunks for one in parts]


def test_ids_are_strings_and_come_once() -> None:
    assert mended([part("f", "", index=1, id=7)], [part(None, "{}", index=1, id=" ")]) == ["7", None]
    assert mended([part("f", "", index=0, id="x")], [part("f", "{}", index=0, id="x")]) == ["x", None]
    first, second = mended([part("f", "{}", id="")], [part("f", "{}", id="  ")])
    assert first.startswith("call_")
    assert second.startswith("call_")
    assert first != second


def test_a_chunk_as_openai_writes_it_is_left_alone() -> None:
    numbers = CallNumbers()
    kind = {"type": "function"}
    for calls in (
        [part("f", "", index=0, id="x", **kind)],
        [part(None, "{}", index=0)],
        [part("g", "{}", index=1, id="y", **kind)],
    ):
        assert not numbers.mend({"index": 0, "delta": {"tool_calls": calls}})
    assert not numbers.mend({"index": 0, "delta": {"content": "a"}})
