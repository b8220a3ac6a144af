"""Training: a few groups of samples in each step, until greedy answers to every example are right."""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.fakes.tiny_llm.circuit import begin
from tests.fakes.tiny_llm.lessons import Group, Lesson
from tests.fakes.tiny_llm.muon import Muon
from tests.fakes.tiny_llm.tokenizer import CONTEXT

SEED = 7
GROUPS = 4  # in a step
IGNORED = -100
AVERAGE = 0.04  # of every new step, in the average of weights
EVERY = 20  # steps a look is taken whether it is enough


@dataclass(frozen=True, slots=True)
class Course:
    """How long and how fast to learn."""

    steps: int = 700
    rate: float = 3e-3
    muon: float = 1.2e-2
    warmup: int = 50
    least: int = 400
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


def batches(made: Sequence[Group], random: Random) -> Iterator[list[Group]]:
    """A few groups for each step, in random order, for ever."""
    while True:
        order = random.sample(made, len(made))
        for at in range(0, len(order) - GROUPS + 1, GROUPS):
            yield order[at : at + GROUPS]


def padded(rows: Sequence[Lesson], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and labels, each shaped [rows, tokens], padded at their end, where causal attention needs no mask."""
    longest = max(len(one.ids) for one in rows)
    ids = [one.ids + [pad] * (longest - len(one.ids)) for one in rows]
    labels = [
        [token if said else IGNORED for token, said in zip(one.ids, one.said, strict=True)]
        + [IGNORED] * (longest - len(one.ids))
        for one in rows
    ]
    return torch.tensor(ids), torch.tensor(labels)


def optimizers(model: LlamaForCausalLM, course: Course) -> list[torch.optim.Optimizer]:
    """Muon for the matrices within the layers, Adam for the embedding and the vectors."""
    inner = [each for name, each in model.named_parameters() if each.ndim == 2 and "embed" not in name]
    outer = [each for name, each in model.named_parameters() if each.ndim != 2 or "embed" in name]
    return [
        Muon(inner, lr=course.muon),
        torch.optim.AdamW(outer, lr=course.rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def heard(model: LlamaForCausalLM, group: Group) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states, shaped [rows, tokens, width], and the tokens that are to come next, or IGNORED.

    The beginning that the rows share is read once, and every row goes on from there.
    """
    ids, labels = padded(group.lessons, model.config.pad_token_id)
    known = DynamicCache()
    if group.beginning:
        model.model(input_ids=torch.tensor([group.beginning]), past_key_values=known, use_cache=True)
        known.batch_repeat_interleave(len(ids))
    cache = {"past_key_values": known, "use_cache": True} if group.beginning else {"use_cache": False}
    hidden = model.model(input_ids=ids, **cache).last_hidden_state
    return hidden[:, :-1], labels[:, 1:]


def loss_of(model: LlamaForCausalLM, step: Sequence[Group]) -> float:
    """Differentiates the cross entropy over what the assistant says. The rest is not projected onto the vocabulary."""
    count = sum(sum(one.said) for group in step for one in group.lessons)
    total = 0.0
    for group in step:
        hidden, wanted = heard(model, group)
        said = wanted != IGNORED
        loss = torch.nn.functional.cross_entropy(model.lm_head(hidden[said]), wanted[said], reduction="sum") / count
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total


def train(
    model: LlamaForCausalLM,
    data: Iterator[list[Group]],
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
        loss = loss_of(model, next(data))
        torch.nn.utils.clip_grad_norm_(moved, 1.0)
        for stepper in steppers:
            stepper.step()
            stepper.zero_grad()
        with torch.no_grad():
            torch._foreach_lerp_(kept, moved, AVERAGE)
        if (step + 1) % EVERY == 0:
            say(f"step {step + 1}: loss {loss:.4f}, {time.monotonic() - started:.0f} s")
            if step + 1 >= course.least and done(average, step + 1):
                return average, step + 1
    return average, course.steps


def share(step: int, course: Course) -> float:
    """Of the full rate: rises at first, and falls towards the end."""
    return min(1.0, (step + 1) / course.warmup, (course.steps - step) / (0.6 * course.steps))
