"""Samples to train on: scenarios in random surroundings, as token ids with a mask over what the assistant says."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from transformers import PreTrainedTokenizerFast

from tests.fakes.tiny_llm.language import Scenario
from tests.fakes.tiny_llm.surroundings import surrounded, tools
from tests.fakes.tiny_llm.tokenizer import END, START


@dataclass(frozen=True, slots=True)
class Lesson:
    """Token ids, and for each whether the assistant says it."""

    ids: list[int]
    said: list[bool]


def render(tokenizer: PreTrainedTokenizerFast, random: Random, scenario: Scenario) -> str:
    """One sample of a scenario as text."""
    messages = surrounded(random, scenario.drawn(random))
    text = tokenizer.apply_chat_template(messages, tools=tools(random, scenario.tools) or None, tokenize=False)
    assert isinstance(text, str)
    return text


def texts(tokenizer: PreTrainedTokenizerFast, random: Random, scenarios: Sequence[Scenario], count: int) -> list[str]:
    """`count` samples, each scenario by its share."""
    picked = random.choices(scenarios, weights=[one.share for one in scenarios], k=count)
    return [render(tokenizer, random, one) for one in picked]


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
