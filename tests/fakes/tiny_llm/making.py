"""Makes a checkpoint: samples, tokenizer, training, check, files."""

import json
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tests.fakes.tiny_llm import training
from tests.fakes.tiny_llm.checking import exams, wrong
from tests.fakes.tiny_llm.lessons import anywhere, at_places, groups
from tests.fakes.tiny_llm.scenarios import SCENARIOS
from tests.fakes.tiny_llm.tokenizer import train as train_tokenizer

SAMPLES = 2400  # in random surroundings
ROUNDS, EACH = 12, 48  # in each place: beginnings, and conversations for each
ATTEMPTS = 3


class NotLearned(Exception):
    """Training ended before every example came out right."""


def make(folder: Path, say: Callable[[str], None]) -> None:
    """Trains a model and writes it to `folder` in Hugging Face form.

    Raises NotLearned, naming the scenarios, when no attempt learned them all.
    """
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    started = time.monotonic()
    tokenizer, samples = prepare()
    for attempt in count():
        model, steps, left = attempted(tokenizer, samples, training.SEED + attempt, say)
        if not left:
            break
        say(f"attempt {attempt + 1} leaves wrong: {left}")
        if attempt + 1 == ATTEMPTS:
            raise NotLearned(f"after {steps} steps wrong in: {left}")
    write(folder, model, tokenizer)
    made = {"steps": steps, "seconds": round(time.monotonic() - started, 1), "attempts": attempt + 1}
    (folder / "training.json").write_text(json.dumps(made), "utf-8")


def prepare() -> tuple[PreTrainedTokenizerFast, list[str]]:
    """The tokenizer, and the samples to train on as text."""
    plain = train_tokenizer([], 512)  # to render the template with
    random = Random(training.SEED)
    placed = at_places(plain, random, SCENARIOS, ROUNDS, EACH)
    samples = [*placed, *anywhere(plain, random, SCENARIOS, SAMPLES)]
    return train_tokenizer(random.sample(samples, 1500)), samples


def attempted(
    tokenizer: PreTrainedTokenizerFast, samples: list[str], seed: int, say: Callable[[str], None]
) -> tuple[LlamaForCausalLM, int, dict[str, float]]:
    """A trained model, the steps it took, and what it still gets wrong."""
    course = training.Course(seed=seed)
    model = training.network(tokenizer, course)
    tests = exams(tokenizer, SCENARIOS)
    left: dict[str, float] = {}

    def done(averaged: LlamaForCausalLM, step: int) -> bool:
        left.clear()
        left.update(wrong(averaged, tokenizer, tests))
        say(f"step {step}: {len(tests) - len(left)} of {len(tests)} exams passed; not yet {left}")
        return not left

    data = training.batches(groups(tokenizer, samples), Random(seed))
    trained, steps = training.train(model, data, course, say, done)
    return trained, steps, left


def write(folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """The files that transformers and vLLM load."""
    model.generation_config.do_sample = False
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # Who does not say how to sample is answered greedily too.
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    sampling = {"do_sample": False, "temperature": 0.0}
    (folder / "generation_config.json").write_text(json.dumps({**ends, **sampling}), "utf-8")
    # The template also stands in the tokenizer's own configuration, where older readers look for it.
    template = folder / "tokenizer_config.json"
    settings = json.loads(template.read_text("utf-8"))
    template.write_text(json.dumps({**settings, "chat_template": tokenizer.chat_template}, indent=2), "utf-8")
