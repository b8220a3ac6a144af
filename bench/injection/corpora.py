"""Texts that nobody here wrote: attacks of published collections, and real documents and questions that are none."""

import ast
import gzip
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from bench.kit import BenchError
from bench.kit.command import Say
from bench.xquad import corpus as xquad

LANGUAGES = ("en", "zh", "de", "es", "ru", "ar", "hi", "th", "vi")
MANUALS = Path("/usr/share/man")
MANUAL_LANGUAGES = ("de", "es", "fr", "it", "ja", "nl", "pl", "pt_BR", "ru", "tr", "zh_CN")
# Nobody's package is read further; longer documents take the model no longer than this.
CHARACTERS = 6000
_REQUEST = re.compile(r"(?m)^[.'].*?(?: |$)|\\f[A-Z]|\\[-&]")


@dataclass(frozen=True, slots=True)
class Foreign:
    """A text, its ISO 639-1 language, whether it is an attack, and where it is from."""

    text: str
    language: str
    attack: bool
    source: str


def published(say: Say) -> list[Foreign]:
    """Attacks and near misses, of the collections that are installed."""
    found: list[Foreign] = []
    for name, read in (("bastioncorpus", _bastion), ("aib", _agents), ("garak_multilingual", _garak)):
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            say(f"without {name}: it is not installed")
            continue
        found += read(Path(spec.origin).parent)
    return found


def harmless(xquad_folder: Path, each: int, say: Say) -> list[Foreign]:
    """Up to `each` of every kind and language, the same ones each time."""
    groups: dict[tuple[str, str], list[Foreign]] = defaultdict(list)
    for text in (*_xquad(xquad_folder, say), *_readmes(), *_manuals()):
        groups[text.source, text.language].append(text)
    chosen = random.Random(11)
    return [text for group in groups.values() for text in chosen.sample(group, min(each, len(group)))]


def _bastion(folder: Path) -> Iterator[Foreign]:
    for line in (folder / "corpus" / "injections.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        text = row["text"].replace("{canary}", "ZX81")
        attack = row["label"] == "malicious"
        kind = "encoded" if row["category"] == "obfuscation" else "bastioncorpus"
        yield Foreign(text, row["lang"], attack, kind if attack else "near misses")


def _agents(folder: Path) -> Iterator[Foreign]:
    for line in (folder / "data" / "attacks.jsonl").read_text("utf-8").splitlines():
        yield Foreign(json.loads(line)["injected"], "en", True, "agent-injection-bench")


def _garak(folder: Path) -> Iterator[Foreign]:
    """Read, not run: the package asks for garak, which is large."""
    for node in ast.parse((folder / "payloads.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List):
            for payload in (_fields(each) for each in node.value.elts):
                if "prompt" in payload:
                    yield Foreign(payload["prompt"], payload.get("lang", "tr"), True, "garak-multilingual")


def _fields(node: ast.expr) -> dict[str, str]:
    """The fields of a dictionary that are plain text."""
    if not isinstance(node, ast.Dict):
        return {}
    values = ((_text(key), _text(value)) for key, value in zip(node.keys, node.values, strict=True))
    return {key: value for key, value in values if key is not None and value is not None}


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _xquad(folder: Path, say: Say) -> Iterator[Foreign]:
    for language in LANGUAGES:
        try:
            corpus = xquad.load(folder, language)
        except BenchError as error:
            say(f"without XQuAD ({language}): {error}")
            continue
        yield from (Foreign(each.text, language, False, "paragraph") for each in corpus.paragraphs)
        yield from (Foreign(each.text, language, False, "question") for each in corpus.questions)


def _readmes() -> Iterator[Foreign]:
    """Of the packages that are installed, as far as they bring them."""
    for package in sorted(metadata.distributions(), key=lambda each: each.name or ""):
        text = (package.read_text("METADATA") or "").partition("\n\n")[2]
        if len(text) > 500:
            yield Foreign(text[:CHARACTERS], "en", False, "README")


def _manuals() -> Iterator[Foreign]:
    for name in MANUAL_LANGUAGES:
        for file in sorted((MANUALS / name).glob("man*/*.gz")):
            text = _REQUEST.sub("", gzip.decompress(file.read_bytes()).decode("utf-8", "replace"))
            if len(text) > 500:
                yield Foreign(text[:CHARACTERS], name.partition("_")[0], False, "manual page")
