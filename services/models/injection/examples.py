"""The examples: families of texts with slots, written out. The part to learn from shares none with the one held out."""

import base64
import codecs
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).parent / "data"
TRAIN, HELD_OUT = "train", "held_out"
KINDS = (("attacks", True), ("harmless", False))
SLOT = re.compile(r"%(\w+)%")
COUNT = 18
_LEET = str.maketrans("oieast", "01345" + "7")


@dataclass(frozen=True, slots=True)
class Example:
    """A text, whether it is an attack, and where it belongs. `language` is an ISO 639-1 code."""

    text: str
    attack: bool
    family: str
    kind: str
    language: str


def load(part: str) -> list[Example]:
    """All examples of TRAIN or HELD_OUT, the same ones each time."""
    files = [(file, attack) for name, attack in KINDS for file in sorted((DATA / part).glob(f"{name}*.yaml"))]
    return [example for file, attack in files for example in _read(file, attack)]


def _read(file: Path, attack: bool) -> Iterator[Example]:
    data = yaml.safe_load(file.read_text("utf-8"))
    for family in data["families"]:
        slots = {**data["slots"], **family.get("slots", {})}
        for text in _written(family, slots):
            yield Example(text.strip(), attack, family["family"], family["kind"], family["language"])


def _written(family: Mapping[str, Any], slots: Mapping[str, Sequence[str]]) -> list[str]:
    """The family's texts, each once: its templates in turn, their slots filled at random from a fixed seed."""
    chosen = random.Random(family["family"])  # noqa: S311 (no secret: the same examples each time)
    encode = ENCODINGS[family.get("encode", "plain")]
    templates = family["texts"]
    made: dict[str, None] = {}
    for number in range(max(family.get("count", COUNT), len(templates))):
        template = templates[number % len(templates)]
        made[SLOT.sub(lambda slot: encode(chosen.choice(slots[slot[1]])), template)] = None
    return list(made)


def _invisible(text: str) -> str:
    """In Unicode's tag characters, which no screen shows."""
    return "".join(chr(0xE0000 + ord(character)) for character in text)


ENCODINGS: Mapping[str, Callable[[str], str]] = {
    "plain": str,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "reversed": lambda text: text[::-1],
    "leet": lambda text: text.translate(_LEET),
    "spaced": lambda text: "  ".join(" ".join(word) for word in text.split()),
    "invisible": _invisible,
}
