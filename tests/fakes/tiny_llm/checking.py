"""Whether a model is right: every answer of every scenario's examples, in its places and in random surroundings."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tests.fakes.tiny_llm.language import Scenario, Values
from tests.fakes.tiny_llm.lessons import Group, groups, text_of
from tests.fakes.tiny_llm.places import placed
from tests.fakes.tiny_llm.scenarios import FORKS
from tests.fakes.tiny_llm.surroundings import surrounded, tool
from tests.fakes.tiny_llm.training import IGNORED, heard

SURROUNDINGS, TIMES = 3, 2
# By how much the right token's logit is to be above the next: rounding to bfloat16 moves them by less.
MARGIN = 0.7


@dataclass(frozen=True, slots=True)
class Exam:
    """The conversations of one scenario that must come out exactly, by where they are met."""

    name: str
    groups: Sequence[Group]


def exams(tokenizer: PreTrainedTokenizerFast, scenarios: Sequence[Scenario], seed: int = 1) -> list[Exam]:
    """Every scenario's examples: in each of its places, with nothing but its tools, and in random surroundings."""
    random = Random(seed)
    made: list[Exam] = []
    for one in scenarios:
        for place in one.places:
            texts = [text for values in one.examples for text in met(tokenizer, random, one, values, place)]
            made.append(Exam(f"{one.name}, {place}", groups(tokenizer, texts)))
        if one.anywhere:
            texts = [text for values in one.examples for text in met_anywhere(tokenizer, random, one, values)]
            made.append(Exam(one.name, groups(tokenizer, texts)))
    return made


def met(
    tokenizer: PreTrainedTokenizerFast, random: Random, scenario: Scenario, values: Values, place: str
) -> list[str]:
    """The conversation in that place on several days."""
    messages = scenario.filled(values)
    return [text_of(tokenizer, *placed(place, messages, random)) for _ in range(TIMES)]


def met_anywhere(tokenizer: PreTrainedTokenizerFast, random: Random, scenario: Scenario, values: Values) -> list[str]:
    messages = scenario.filled(values)
    around = [messages, *(surrounded(random, messages) for _ in range(SURROUNDINGS))]
    return [text_of(tokenizer, each, [tool(random, name) for name in scenario.tools]) for each in around]


@torch.no_grad()
def margin(model: LlamaForCausalLM, forks: Sequence[int], group: Group) -> torch.Tensor:
    """For each conversation, the least by which a token's logit is above all others; negative where one is wrong.

    Where answers fork, only a grammar can tell which is meant: the other ways are left out.
    """
    hidden, wanted = heard(model, group)
    logits = model.lm_head(hidden).float()
    right = logits.gather(-1, wanted.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    others = logits.scatter(-1, wanted.clamp(min=0).unsqueeze(-1), float("-inf"))
    ways = torch.tensor(list(forks))
    at_fork = torch.isin(wanted, ways)
    others[at_fork] = others[at_fork].index_fill(-1, ways, float("-inf"))
    gap: torch.Tensor = right - others.amax(-1)
    least: torch.Tensor = gap.masked_fill(wanted == IGNORED, float("inf")).amin(-1)
    return least


def wrong(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, all_exams: Sequence[Exam], least: float = MARGIN
) -> dict[str, float]:
    """The scenarios in places that do not always come out exactly and surely, each with its smallest margin."""
    forks = tokenizer.convert_tokens_to_ids(list(FORKS))
    margins = {each.name: min(float(margin(model, forks, group).min()) for group in each.groups) for each in all_exams}
    return {name: round(value, 2) for name, value in margins.items() if not value >= least}
