"""Texts in, unit vectors out; and with a passage's vector, from the same forward pass, those of its sentences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from services.models.bert import WIDTH, Bert, Weights
from services.models.device import PROCESSOR_TOKENS, Device, processor

Vectors = npt.NDArray[np.float32]
Sentences = npt.NDArray[np.int8]
Spans = npt.NDArray[np.int32]
# float32 [tokens, 384]: of a text's wordpieces, a marker before and one behind.
TokenStates = Vectors

MAX_TOKENS = 512
# No more characters than this are tokenised: 512 wordpieces seldom span a quarter of them.
MAX_CHARACTERS = 16_384
INT8_SCALE = 127.0


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text's result.

    vector: float32 [384], length one. tokens: wordpieces read, the two markers included, at most 512. length: those
    that the text has.
    sentences: int8 [spans, 384], each by its own scale: only the direction counts. A span that has no wordpiece among
    those read has zeros.
    """

    vector: Vectors
    tokens: int
    length: int
    sentences: Sentences | None


class Encoder:
    """The model of `model.safetensors` and `tokenizer.json` in a folder, which reads `prefix` before each text. It
    computes on `device`, by default the processor. Not safe for use by several threads at once."""

    def __init__(self, folder: Path, device: Device | None = None, prefix: str = "") -> None:
        device = device or processor()
        self._prefix = prefix
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokens = device.tokens
        weights = Weights(folder / "model.safetensors", device.dtype, device=device.at)
        self._bert = Bert(weights, device.groups)

    def encode(self, texts: Sequence[str], spans: Sequence[Spans | None] | None = None) -> list[Encoded]:
        """Each text's vector, in order; where `spans` has its sentences [n, 2] (characters), also theirs."""
        cut = [self._prefix + text[:MAX_CHARACTERS] for text in texts]
        with_offsets = spans is not None
        encodings = self._tokenizer.encode_batch(cut) if with_offsets else self._tokenizer.encode_batch_fast(cut)
        results: dict[int, Encoded] = {}
        for number, states in self._states([encoding.ids for encoding in encodings]):
            own = None if spans is None else spans[number]
            results[number] = _pool(states, encodings[number], None if own is None else own + len(self._prefix))
        return [results[number] for number in range(len(texts))]

    def token_states(self, texts: Sequence[tuple[str, int]]) -> list[TokenStates]:
        """The states of each text's wordpieces, of which so many are read, markers included."""
        cut = [self._prefix + text[:MAX_CHARACTERS] for text, _ in texts]
        encodings = self._tokenizer.encode_batch_fast(cut)
        ids = [_shortened(encoding.ids, most) for encoding, (_, most) in zip(encodings, texts, strict=True)]
        found = dict(self._states(ids))
        return [found[number] for number in range(len(texts))]

    def _states(self, ids: Sequence[Sequence[int]]) -> Iterator[tuple[int, Vectors]]:
        """The token states [tokens, 384] of each text with its number, shortest text first."""
        for batch in batches([len(row) for row in ids], self._tokens):
            for number, states in zip(batch, self._bert([ids[number] for number in batch]), strict=True):
                yield number, states.numpy()


def batches(lengths: Sequence[int], budget: int = PROCESSOR_TOKENS) -> Iterator[list[int]]:
    """The texts' numbers by rising length, in groups of no more tokens than the budget."""
    batch: list[int] = []
    tokens = 0
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and tokens + lengths[number] > budget:
            yield batch
            batch, tokens = [], 0
        batch.append(number)
        tokens += lengths[number]
    if batch:
        yield batch


def unit(vectors: Vectors) -> Vectors:
    """The rows at length one; a row of zeros stays."""
    scaled: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return scaled


def _shortened(ids: Sequence[int], most: int) -> Sequence[int]:
    """So many wordpieces at most, the marker at the end among them."""
    return ids if len(ids) <= most else [*ids[: most - 1], ids[-1]]


def _pool(states: Vectors, encoding: Encoding, spans: Spans | None) -> Encoded:
    vector = unit(states.mean(axis=0))
    sentences = None if spans is None else _pool_sentences(states[1:-1], encoding.offsets[1:-1], spans)
    return Encoded(vector, len(states), _length(encoding), sentences)


def _length(encoding: Encoding) -> int:
    """Wordpieces of the whole text; each piece of what was cut off has the two markers again."""
    return len(encoding.ids) + sum(len(rest.ids) - 2 for rest in encoding.overflowing)


def _pool_sentences(states: Vectors, offsets: Sequence[tuple[int, int]], spans: Spans) -> Sentences:
    """The mean of the wordpieces that end within each span; only its direction counts, so their sum. In some models'
    words a piece begins with the space before it."""
    ends = np.fromiter((end for _, end in offsets), dtype=np.int32, count=len(offsets))
    first = np.searchsorted(ends, spans[:, 0], side="right")
    last = np.searchsorted(ends, spans[:, 1], side="right")
    sums = np.zeros((len(spans), WIDTH), dtype=np.float32)
    for row, begin, end in zip(sums, first, last, strict=True):
        states[begin:end].sum(axis=0, out=row)
    return to_int8(sums)


def to_int8(vectors: Vectors) -> Sentences:
    """The rows' directions, the largest number of each at 127 or -127."""
    largest = np.maximum(np.abs(vectors).max(axis=-1, keepdims=True), 1e-12)
    rounded: Sentences = np.rint(vectors * (INT8_SCALE / largest)).astype(np.int8)
    return rounded
