import json
from itertools import islice
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from bench.llm.prompts import body, prompts


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a tokenizer of single bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_prompts_are_as_long_as_asked_and_all_different(model: Path) -> None:
    found = list(islice(prompts(model, 100), 300))
    assert all(99 <= len(text) <= 104 for text in found)
    assert len({text[:30] for text in found}) == 300


def test_the_same_seed_gives_the_same_prompts(model: Path) -> None:
    assert list(islice(prompts(model, 50), 5)) == list(islice(prompts(model, 50), 5))
    assert next(prompts(model, 50, seed=2)) != next(prompts(model, 50, seed=3))


def test_a_body_asks_for_an_exact_number_of_tokens() -> None:
    asked = json.loads(body("llm", "hello", 9))
    assert (asked["model"], asked["max_tokens"], asked["ignore_eos"], asked["stream"]) == ("llm", 9, True, True)
    assert asked["stream_options"] == {"include_usage": True}
