"""Prompts of a given length, each unlike all others from its first word on, the same at every run."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer

SYLLABLES = [first + second for first in "bdfgklmnprstv" for second in "aeiou"]


def prompts(model: Path, tokens: int, seed: int = 1) -> Iterator[str]:
    """Texts of `tokens` tokens or one word more, as the tokenizer of the model's folder counts."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    chance = random.Random(seed)
    sizes: dict[str, int] = {}
    while True:
        words: list[str] = []
        size = 0
        while size < tokens:
            word = " " + "".join(chance.choices(SYLLABLES, k=2))
            size += sizes.setdefault(word, len(tokenizer.encode(word, add_special_tokens=False).ids))
            words.append(word)
        yield "".join(words).strip()


def body(model: str, prompt: str, tokens: int) -> bytes:
    """A streamed chat completion of exactly `tokens` tokens, for vLLM's OpenAI face and for ours."""
    asked = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": tokens,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return json.dumps(asked).encode()
