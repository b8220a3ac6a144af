"""Whether a model is right: every answer of every scenario's example, in plain and in random surroundings."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tests.fakes.tiny_llm.language import Message, Scenario
from tests.fakes.tiny_llm.lessons import Lesson, lessons
from tests.fakes.tiny_llm.surroundings import surrounded, tool
from tests.fakes.tiny_llm.training import IGNORED, padded

SURROUNDINGS = 3


@dataclass(frozen=True, slots=True)
class Exam:
    """The conversations of one scenario that must come out exactly."""

    name: str
    lessons: Sequence[Lesson]


def exams(tokenizer: PreTrainedTokenizerFast, scenarios: Sequence[Scenario], seed: int = 1) -> list[Exam]:
    """Every scenario's example: once with its own tools and no instructions, and in `SURROUNDINGS` others."""
    random = Random(seed)
    return [Exam(one.name, lessons(tokenizer, list(conversations(tokenizer, random, one)))) for one in scenarios]


def conversations(tokenizer: PreTrainedTokenizerFast, random: Random, scenario: Scenario) -> list[str]:
    messages = scenario.filled(scenario.example)
    all_messages: list[list[Message]] = [messages, *(surrounded(random, messages) for _ in range(SURROUNDINGS))]
    shown = [[tool(random, name) for name in scenario.tools] for _ in all_messages]
    texts = [
        tokenizer.apply_chat_template(each, tools=tools or None, tokenize=False)
        for each, tools in zip(all_messages, shown, strict=True)
    ]
    return [str(text) for text in texts]


@torch.no_grad()
def right(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, exam: Exam) -> float:
    """The share of conversations in which every token of every answer is the likeliest, as greedy decoding takes it."""
    ids, labels = padded(exam.lessons, tokenizer.convert_tokens_to_ids(tokenizer.pad_token))
    likeliest = model(input_ids=ids).logits[:, :-1].argmax(-1)
    wanted = labels[:, 1:]
    exact = ((likeliest == wanted) | (wanted == IGNORED)).all(1)
    return float(exact.float().mean())


def wrong(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, all_exams: Sequence[Exam]) -> dict[str, float]:
    """The scenarios that do not always come out exactly, with the share that does."""
    shares = {each.name: right(model, tokenizer, each) for each in all_exams}
    return {name: share for name, share in shares.items() if share < 1}
