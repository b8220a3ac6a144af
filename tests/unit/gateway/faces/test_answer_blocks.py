"""Blocks out of deltas that come in any pieces and turns."""

import random
from collections import defaultdict
from typing import Any

import pytest

from gateway.faces.http.answer_blocks import AnswerBlocks, Kind, Move, Step

CALLS = [("a", '{"x": 1}'), ("b", '{"y": "}{"}'), ("c", "")]


def pieces(text: str, chance: random.Random) -> list[str]:
    cuts = sorted(chance.sample(range(1, len(text)), min(3, len(text) - 1))) if len(text) > 1 else []
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True) if text[start:end]]


def deltas(chance: random.Random) -> list[dict[str, Any]]:
    """A thought, a text, and calls whose arguments come in turns; the name of one comes after its first piece."""
    made: list[dict[str, Any]] = [{"reasoning_content": piece} for piece in pieces("I think.", chance)]
    made += [{"content": piece} for piece in pieces("So it is.", chance)]
    queues = []
    for index, (name, arguments) in enumerate(CALLS):
        head = {"index": index, "id": name, "function": {"name": name, "arguments": ""}}
        queues.append(
            [head, *({"index": index, "function": {"arguments": each}} for each in pieces(arguments, chance))]
        )
    first = [queue.pop(0) for queue in queues]
    made.append({"tool_calls": first[:2]})
    made.append({"tool_calls": first[2:]})
    while any(queues):
        made.append({"tool_calls": [chance.choice([queue for queue in queues if queue]).pop(0)]})
    return made


def check(moves: list[Move]) -> dict[int, str]:
    """One block is open at a time, in order, each once. Returns what each has got."""
    got: dict[int, str] = defaultdict(str)
    begun = ended = 0
    for move in moves:
        if move.step is Step.BEGIN:
            assert (move.number, ended) == (begun, begun)
            begun += 1
        else:
            assert move.number == begun - 1 == ended
            got[move.number] += move.value if move.step is Step.ADD else ""
            ended += move.step is Step.END
    assert begun == ended
    return got


@pytest.mark.parametrize("seed", range(50))
def test_what_comes_in_turns_is_written_one_behind_the_other(seed: int) -> None:
    blocks, moves = AnswerBlocks(), list[Move]()
    for delta in deltas(random.Random(seed)):
        blocks.take(delta)
        moves += blocks.moves()
    moves += blocks.end()
    got = check(moves)
    assert [block.kind for block in blocks.blocks] == [Kind.THOUGHT, Kind.TEXT, *[Kind.CALL] * 3]
    assert [got[number] for number in range(5)] == ["I think.", "So it is.", *(text for _, text in CALLS)]
    assert [block.name for block in blocks.blocks[2:]] == ["a", "b", "c"]


def test_the_first_call_is_written_as_it_comes_and_the_next_once_it_is_whole() -> None:
    blocks = AnswerBlocks()
    blocks.take({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "a", "arguments": '{"x":'}}]})
    assert [move.value for move in blocks.moves()] == [None, '{"x":']
    blocks.take({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "b", "arguments": "{}"}}]})
    assert list(blocks.moves()) == []
    blocks.take({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]})
    assert [(move.step, move.number) for move in blocks.moves()] == [
        (Step.ADD, 0), (Step.END, 0), (Step.BEGIN, 1), (Step.ADD, 1),
    ]  # fmt: skip


def test_a_call_begins_when_its_name_is_there() -> None:
    blocks = AnswerBlocks()
    blocks.take({"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "{"}}]})
    assert list(blocks.moves()) == []
    blocks.take({"tool_calls": [{"index": 0, "function": {"name": "a"}}]})
    assert [move.step for move in blocks.moves()] == [Step.BEGIN, Step.ADD]


def test_thoughts_that_are_not_shown_leave_no_gap() -> None:
    blocks = AnswerBlocks(thoughts=False)
    for delta in (
        {"reasoning": "Hm"},
        {"content": [{"type": "text", "text": "a"}]},
        {"reasoning": "m"},
        {"content": "b"},
    ):
        blocks.take(delta)
    assert [(block.kind, block.text) for block in blocks.blocks] == [(Kind.TEXT, "ab")]
