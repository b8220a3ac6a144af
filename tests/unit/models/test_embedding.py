"""The `embed` model's tensors."""

import struct

import numpy as np
import pytest
import torch

from services.models.embedding import EmbedRequest, Strings, embed, read_request
from services.models.encoder import Encoder
from services.models.errors import InvalidRequest
from services.models.weights import minilm_folder


def strings(*items: bytes) -> Strings:
    return np.array(items, dtype=np.object_).reshape(-1, 1)


def test_texts_and_spans_are_read() -> None:
    request = read_request(strings("Grüße".encode(), b""), strings(struct.pack("<4i", 0, 2, 3, 5), b""))
    assert request.texts == ["Grüße", ""]
    assert request.spans is not None
    assert [span.tolist() for span in request.spans] == [[[0, 2], [3, 5]], []]


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        (b"\xff\xfe", b""),
        (b"a", b"\x00\x00\x00\x00"),
        (b"a", struct.pack("<2i", -1, 1)),
        (b"a", struct.pack("<2i", 2, 1)),
    ],
    ids=["not utf-8", "half a pair", "negative", "backwards"],
)
def test_unreadable_requests_are_refused(text: bytes, spans: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_request(strings(text), strings(spans))


def test_each_request_gets_its_own_texts_back() -> None:
    torch.set_num_threads(1)
    encoder = Encoder(minilm_folder())
    span = np.array([[0, 3]], dtype=np.int32)
    plain, with_spans, empty = embed(
        encoder,
        [
            EmbedRequest(["a long text " * 9, "b"], None),
            EmbedRequest(["cat", "b"], [span, span[:0]]),
            EmbedRequest([], None),
        ],
    )
    assert plain.vectors.shape == (2, 384)
    assert plain.sentences is None
    assert np.dot(plain.vectors[1], with_spans.vectors[1]) > 0.999
    assert with_spans.sentences is not None
    assert [len(item) for item in with_spans.sentences.ravel()] == [384, 0]
    assert empty.vectors.shape == (0, 384)
