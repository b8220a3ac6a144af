"""Samples to train on: scenarios in their places, as token ids with a mask over what the assistant says.

Conversations with the same beginning, the turn that holds instructions and tools, are learned together behind it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from transformers import PreTrainedTokenizerFast

from tests.fakes.tiny_llm.language import Message, Scenario
from tests.fakes.tiny_llm.places import placed
from tests.fakes.tiny_llm.surroundings import surrounded, tools
from tests.fakes.tiny_llm.tokenizer import END, START

TOKENS = 800  # of the conversations of one group, padding included
ALONE = 3  # conversations at most that are learned with their beginning in their rows


@dataclass(frozen=True, slots=True)
class Lesson:
    """Token ids, and for each whether the assistant says it."""

    ids: list[int]
    said: list[bool]


@dataclass(frozen=True, slots=True)
class Group:
    """Lessons that follow on the same beginning, which may be empty."""

    beginning: list[int]
    lessons: Sequence[Lesson]


def text_of(tokenizer: PreTrainedTokenizerFast, messages: Sequence[Message], offered: Sequence[dict[str, Any]]) -> str:
    """A conversation through the chat template."""
    text = tokenizer.apply_chat_template(list(messages), tools=list(offered) or None, tokenize=False)
    assert isinstance(text, str)
    return text


def anywhere(
    tokenizer: PreTrainedTokenizerFast, random: Random, scenarios: Sequence[Scenario], count: int
) -> list[str]:
    """`count` samples in random surroundings, each scenario by its share."""
    known = [one for one in scenarios if one.anywhere]
    picked = random.choices(known, weights=[one.share for one in known], k=count)
    return [text_of(tokenizer, surrounded(random, one.drawn(random)), tools(random, one.tools)) for one in picked]


def at_places(
    tokenizer: PreTrainedTokenizerFast, random: Random, scenarios: Sequence[Scenario], rounds: int, each: int
) -> list[str]:
    """Samples in every place: `rounds` times the same beginning, with `each` conversations by their shares."""
    texts = []
    for place in dict.fromkeys(place for one in scenarios for place in one.places):
        known = [one for one in scenarios if place in one.places]
        for _ in range(rounds):
            state = random.getrandbits(32)
            drawn = random.choices(known, weights=[one.share for one in known], k=each)
            texts += [text_of(tokenizer, *placed(place, one.drawn(random), Random(state))) for one in drawn]
    return texts


def groups(tokenizer: PreTrainedTokenizerFast, samples: Sequence[str]) -> list[Group]:
    """Samples as token ids, by their beginnings, and of like length where there are many."""
    by_beginning: defaultdict[str, list[str]] = defaultdict(list)
    for text in samples:
        beginning = text[: text.index(f"{START}user")]
        by_beginning[beginning].append(text[len(beginning) :])
    alone = [b + rest for b, all_rest in by_beginning.items() if len(all_rest) <= ALONE for rest in all_rest]
    shared = {b: all_rest for b, all_rest in by_beginning.items() if len(all_rest) > ALONE and b}
    plain = [*by_beginning.get("", []), *alone]
    made = [Group([], part) for part in bucketed(lessons(tokenizer, plain))]
    for beginning, all_rest in shared.items():
        ids = tokenizer.encode(beginning)
        made += [Group(ids, part) for part in bucketed(lessons(tokenizer, all_rest))]
    return made


def bucketed(all_lessons: Sequence[Lesson]) -> list[list[Lesson]]:
    """Lessons of like length, as many together as TOKENS allow."""
    parts: list[list[Lesson]] = []
    for one in sorted(all_lessons, key=lambda each: len(each.ids)):
        if not parts or (len(parts[-1]) + 1) * len(one.ids) > TOKENS:
            parts.append([])
        parts[-1].append(one)
    return parts


def lessons(tokenizer: PreTrainedTokenizerFast, samples: Sequence[str]) -> list[Lesson]:
    """Samples as token ids."""
    start, end = tokenizer.convert_tokens_to_ids([START, END])
    role = tokenizer.encode("assistant\n")
    return [lesson(one.ids, start, end, role) for one in tokenizer.backend_tokenizer.encode_batch(list(samples))]


def lesson(ids: list[int], start: int, end: int, role: list[int]) -> Lesson:
    """Marks what stands between the head of an assistant's message and its end, the end included."""
    said, within = [False] * len(ids), False
    for at, token in enumerate(ids):
        said[at] = within
        if token == end:
            within = False
        elif ids[at - len(role) : at + 1] == [start, *role]:
            within = True
    return Lesson(ids, said)
