"""The encoder against published similarities, and against odd input."""

import numpy as np
import pytest
import torch

from services.models import bert
from services.models.device import processor
from services.models.encoder import Encoder, Spans, Vectors, batches, to_int8
from services.models.weights import minilm_folder

LOVELY = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
# As sentence-transformers' own documentation gives them for this model.
SIMILARITIES = np.array([[1.0, 0.666, 0.1046], [0.666, 1.0, 0.1411], [0.1046, 0.1411, 1.0]])


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.set_num_threads(1)
    return Encoder(minilm_folder())


def spans(*ranges: tuple[int, int]) -> Spans:
    return np.array(ranges, dtype=np.int32).reshape(-1, 2)


def vectors(encoder: Encoder, texts: list[str]) -> Vectors:
    return np.array([item.vector for item in encoder.encode(texts)])


def test_similarities_are_those_of_the_original(encoder: Encoder) -> None:
    found = vectors(encoder, LOVELY)
    assert np.abs(found @ found.T - SIMILARITIES).max() < 0.01


def test_half_precision_stays_close_to_full() -> None:
    half, full = (Encoder(minilm_folder(), processor(dtype)) for dtype in (torch.bfloat16, torch.float32))
    cosines = (vectors(half, LOVELY) * vectors(full, LOVELY)).sum(axis=1)
    assert cosines.min() > 0.999


def test_a_text_has_the_same_vector_alone_and_in_company(encoder: Encoder) -> None:
    company = [*LOVELY, "Short.", "A much longer text that shares the forward pass with the others. " * 20]
    together = vectors(encoder, company)
    alone = np.concatenate([vectors(encoder, [text]) for text in company])
    assert (together * alone).sum(axis=1).min() > 0.999


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 2),
        (" \n\t", 2),
        ("🙂🙂 👩‍👩‍👧", None),
        ("水力发电站的进水口在哪里？", None),
        ("x" * 100_000, 3),
        ("word " * 20_000, 512),
    ],
    ids=["empty", "blank", "emoji", "chinese", "one long word", "100,000 characters"],
)
def test_any_text_has_a_unit_vector(encoder: Encoder, text: str, tokens: int | None) -> None:
    (found,) = encoder.encode([text], [spans((0, len(text)))])
    assert np.linalg.norm(found.vector) == pytest.approx(1, abs=1e-5)
    assert found.sentences is not None
    assert found.sentences.shape == (1, 384)
    assert 2 <= found.tokens <= 512
    assert tokens is None or found.tokens == tokens


def test_no_text_no_vector(encoder: Encoder) -> None:
    assert encoder.encode([]) == []


def test_each_sentence_is_nearest_to_itself(encoder: Encoder) -> None:
    text = " ".join(LOVELY)
    starts = [text.index(sentence) for sentence in LOVELY]
    ranges = [(start, start + len(sentence)) for start, sentence in zip(starts, LOVELY, strict=True)]
    (found,) = encoder.encode([text], [spans(*ranges)])
    assert found.sentences is not None
    nearest = (found.sentences.astype(np.float32) @ vectors(encoder, LOVELY).T).argmax(axis=1)
    assert nearest.tolist() == [0, 1, 2]


def test_spans_count_characters_not_bytes(encoder: Encoder) -> None:
    text = "🙂 naïve. Zebras."
    first, whole = encoder.encode([text, text], [spans((0, 8)), spans((0, 8), (9, 16))])
    assert first.sentences is not None
    assert whole.sentences is not None
    assert np.array_equal(first.sentences[0], whole.sentences[0])
    assert not np.array_equal(whole.sentences[0], whole.sentences[1])


def test_what_was_not_read_has_zeros(encoder: Encoder) -> None:
    text = "word " * 1000
    (found,) = encoder.encode([text], [spans((0, 4), (4900, 4904), (3, 3), (9000, 9999))])
    assert found.sentences is not None
    assert found.sentences.any(axis=1).tolist() == [True, False, False, False]


def test_sentences_come_only_where_asked_for(encoder: Encoder) -> None:
    asked, not_asked, none = encoder.encode(["One.", "Two.", "Three."], [spans((0, 4)), None, spans()])
    assert asked.sentences is not None
    assert not_asked.sentences is None
    assert none.sentences is not None
    assert none.sentences.shape == (0, 384)


def test_int8_uses_the_whole_range_and_keeps_zero() -> None:
    found = to_int8(np.array([[0.5, -0.25], [0.0, 0.0]], dtype=np.float32))
    assert found.tolist() == [[127, -64], [0, 0]]


@pytest.mark.parametrize(
    ("lengths", "budget", "expected"),
    [
        ([], 10, []),
        ([3, 1, 2], 100, [[1, 2, 0]]),
        ([5, 5, 5], 10, [[0, 1], [2]]),
        ([50, 1], 10, [[1], [0]]),
    ],
)
def test_batches_keep_to_the_budget(lengths: list[int], budget: int, expected: list[list[int]]) -> None:
    assert list(batches(lengths, budget)) == expected


def heads_of(scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Queries, keys and values of a text of 89 tokens, padded to 96; and their mask."""
    torch.manual_seed(5)
    heads = torch.randn(3, 1, bert.HEADS, 96, bert.HEAD_WIDTH).mul(scale).to(torch.bfloat16)
    mask = torch.zeros(1, 1, 1, 96)
    mask[..., -7:] = float("-inf")
    return heads, mask


@pytest.mark.parametrize("scale", [0.3, 1.0, 12.0], ids=["flat", "usual", "beyond the exponential's range"])
def test_attention_is_softmax_of_the_scores(scale: float) -> None:
    heads, mask = heads_of(scale)
    q, k, v = heads.unbind(0)
    expected = torch.softmax(q @ k.transpose(-1, -2) + mask.to(q.dtype), -1) @ v
    assert torch.allclose(bert.attention(heads, mask), expected, atol=0.03 * scale, rtol=0.03)


@pytest.mark.parametrize("score", [60.0, 69.0, 80.0, 86.0, 88.0, 88.7, 90.0, -60.0, -69.0, -80.0, -88.0, -100.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_holds_to_the_end_of_the_range_of_the_exponential(score: float, dtype: torch.dtype) -> None:
    """Where all scores are alike the result is the mean of the values, however large these are."""
    side = (abs(score) / bert.HEAD_WIDTH) ** 0.5
    heads = torch.full((3, 1, bert.HEADS, 64, bert.HEAD_WIDTH), side, dtype=dtype)
    heads[1] *= 1 if score > 0 else -1
    heads[2] = 40.0
    assert torch.allclose(bert.attention(heads, torch.zeros(1, 1, 1, 64)), heads[2], rtol=0.02)


def test_it_computes_in_what_this_processor_multiplies_packed() -> None:
    weight, bias = torch.zeros(16, 16, dtype=bert.fastest()), torch.zeros(16, dtype=bert.fastest())
    assert isinstance(bert.linear(weight, bias), bert.PackedLinear)
