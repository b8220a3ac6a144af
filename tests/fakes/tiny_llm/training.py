"""Training: short batches of samples of like length, until greedy answers to every example are right."""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.fakes.tiny_llm.circuit import begin
from tests.fakes.tiny_llm.lessons import Lesson
from tests.fakes.tiny_llm.tokenizer import CONTEXT

SEED = 7
TOKENS = 2048  # of one batch, padding included
IGNORED = -100
AVERAGE = 0.04  # of every new step, in the average of weights
EVERY = 50  # steps a look is taken whether it is enough


@dataclass(frozen=True, slots=True)
class Course:
    """How long and how fast to learn."""

    steps: int = 1000
    rate: float = 3e-3
    muon: float = 1.2e-2
    warmup: int = 50
    least: int = 250
    hidden: int = 128
    seed: int = SEED
    layers: int = 3


def network(tokenizer: PreTrainedTokenizerFast, course: Course) -> LlamaForCausalLM:
    """An untrained model. Heads are 32 wide, the least that vLLM's attention takes on a CPU."""
    torch.manual_seed(course.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=course.hidden,
        intermediate_size=2 * course.hidden,
        num_hidden_layers=course.layers,
        num_attention_heads=course.hidden // 32,
        num_key_value_heads=course.hidden // 32,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        initializer_range=0.02,
        attention_bias=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    begin(model)
    return model


def batches(samples: Sequence[Lesson], random: Random, pad: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Inputs and labels, each shaped [rows, tokens], of samples of like length, in random order, for ever."""
    ordered = sorted(samples, key=lambda one: len(one.ids))
    groups: list[list[Lesson]] = []
    for one in ordered:
        if not groups or (len(groups[-1]) + 1) * len(one.ids) > TOKENS:
            groups.append([])
        groups[-1].append(one)
    while True:
        for group in random.sample(groups, len(groups)):
            yield padded(group, pad)


def padded(group: Sequence[Lesson], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows padded at their end, where causal attention needs no mask."""
    longest = max(len(one.ids) for one in group)
    ids = [one.ids + [pad] * (longest - len(one.ids)) for one in group]
    labels = [
        [token if said else IGNORED for token, said in zip(one.ids, one.said, strict=True)]
        + [IGNORED] * (longest - len(one.ids))
        for one in group
    ]
    return torch.tensor(ids), torch.tensor(labels)


def optimizers(model: LlamaForCausalLM, course: Course) -> list[torch.optim.Optimizer]:
    """Muon for the matrices within the layers, Adam for the embedding and the vectors."""
    inner = [each for name, each in model.named_parameters() if each.ndim == 2 and "embed" not in name]
    outer = [each for name, each in model.named_parameters() if each.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(inner, lr=course.muon, weight_decay=0.0),
        torch.optim.AdamW(outer, lr=course.rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def loss_of(model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross entropy over what the assistant says; the rest of the rows is not even projected onto the vocabulary."""
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    wanted = labels[:, 1:]
    said = wanted != IGNORED
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[said]), wanted[said])


def train(
    model: LlamaForCausalLM,
    data: Iterator[tuple[torch.Tensor, torch.Tensor]],
    course: Course,
    say: Callable[[str], None],
    done: Callable[[LlamaForCausalLM, int], bool],
) -> tuple[LlamaForCausalLM, int]:
    """Trains until `done`, asked every now and then, or until the course is over.

    Returns the model, whose weights are averaged over the last steps, and how many steps it took.
    """
    started = time.monotonic()
    steppers = optimizers(model, course)
    first = [stepper.param_groups[0]["lr"] for stepper in steppers]
    average = copy.deepcopy(model).eval()
    kept, moved = list(average.parameters()), list(model.parameters())
    for step in range(course.steps):
        for stepper, rate in zip(steppers, first, strict=True):
            stepper.param_groups[0]["lr"] = rate * share(step, course)
        loss = loss_of(model, *next(data))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(moved, 1.0)
        for stepper in steppers:
            stepper.step()
            stepper.zero_grad()
        with torch.no_grad():
            torch._foreach_lerp_(kept, moved, AVERAGE)
        if (step + 1) % EVERY == 0:
            say(f"step {step + 1}: loss {loss.item():.4f}, {time.monotonic() - started:.0f} s")
            if step + 1 >= course.least and done(average, step + 1):
                return average, step + 1
    return average, course.steps


def share(step: int, course: Course) -> float:
    """Of the full rate: rises at first, and falls towards the end."""
    return min(1.0, (step + 1) / course.warmup, (course.steps - step) / (0.6 * course.steps))
