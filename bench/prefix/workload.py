"""Conversations of several turns under a few long system prompts, the turns of all of them mixed. Pure."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.llm.prompts import prompts
from services.llm.chat import Message, Role


@dataclass(frozen=True, slots=True)
class Shape:
    """`systems` prompts of `system` tokens, each begins `conversations`; each of `turns` questions of `question`
    tokens, of which each is answered in `answer` tokens."""

    systems: int = 4
    system: int = 768
    conversations: int = 3
    turns: int = 5
    question: int = 256
    answer: int = 16

    def __str__(self) -> str:
        return (
            f"{self.systems * self.conversations} conversations of {self.turns} turns, questions of {self.question} "
            f"tokens and answers of {self.answer}, under {self.systems} system prompts of {self.system} tokens"
        )


@dataclass(slots=True)
class Conversation:
    """What has been said, and the questions that are still to come."""

    messages: list[Message]
    questions: list[str]


def conversations(model: Path, shape: Shape, seed: int) -> list[Conversation]:
    """Unlike those of any other seed from the first word on, so that no cache has them."""
    systems, questions = prompts(model, shape.system, seed), prompts(model, shape.question, seed + 1)
    return [
        Conversation([Message(Role.SYSTEM, system)], [next(questions) for _ in range(shape.turns)])
        for system in [next(systems) for _ in range(shape.systems)]
        for _ in range(shape.conversations)
    ]


def mixed(all_: list[Conversation], seed: int) -> Iterator[Conversation]:
    """Whose turn it is: each once before any a second time, in an order of chance."""
    chance = random.Random(seed)
    for _ in all_[0].questions:
        yield from chance.sample(all_, len(all_))
