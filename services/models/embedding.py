"""What the `embed` model does with a batch of requests, free of Triton's types."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.models.bert import WIDTH
from services.models.encoder import Encoded, Encoder, Spans
from services.models.errors import InvalidRequest

# Triton hands strings over as an object array of bytes [texts, 1].
Strings = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Texts, and per text the character ranges of its sentences where these are to be embedded too."""

    texts: list[str]
    spans: list[Spans] | None


@dataclass(frozen=True, slots=True)
class EmbedResponse:
    """vectors: float32 [n, 384]. tokens: int32 [n, 1], those that each text has, of which at most 512 are read.
    sentences: [n, 1] of int8 bytes, or None if not asked for."""

    vectors: npt.NDArray[np.float32]
    tokens: npt.NDArray[np.int32]
    sentences: Strings | None


def read_request(text: Strings, spans: Strings | None) -> EmbedRequest:
    """Decodes the tensors TEXT and SPANS. Raises InvalidRequest."""
    try:
        texts = [str(item, "utf-8") for item in text.ravel()]
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"TEXT is not UTF-8: {error.reason} at byte {error.start}") from error
    return EmbedRequest(texts, None if spans is None else [_read_spans(item) for item in spans.ravel()])


def _read_spans(data: bytes) -> Spans:
    if len(data) % 8:
        raise InvalidRequest("SPANS must hold pairs of little-endian int32")
    pairs = np.frombuffer(data, dtype="<i4").reshape(-1, 2)
    if pairs.size and (pairs.min() < 0 or (pairs[:, 1] < pairs[:, 0]).any()):
        raise InvalidRequest("SPANS must hold ranges with 0 <= start <= end")
    return pairs


def embed(encoder: Encoder, requests: Sequence[EmbedRequest]) -> list[EmbedResponse]:
    """All requests in one go: short texts of one request share a forward pass with those of another."""
    texts = [text for request in requests for text in request.texts]
    spans: list[Spans | None] | None = None
    if any(request.spans is not None for request in requests):
        spans = [span for request in requests for span in (request.spans or (None for _ in request.texts))]
    encoded = iter(encoder.encode(texts, spans))
    return [_respond([next(encoded) for _ in request.texts], request.spans is not None) for request in requests]


def _respond(encoded: Sequence[Encoded], with_sentences: bool) -> EmbedResponse:
    vectors = np.array([item.vector for item in encoded], dtype=np.float32).reshape(-1, WIDTH)
    tokens = np.array([[item.length] for item in encoded], dtype=np.int32)
    if not with_sentences:
        return EmbedResponse(vectors, tokens, None)
    sentences = [b"" if item.sentences is None else item.sentences.tobytes() for item in encoded]
    return EmbedResponse(vectors, tokens, np.array(sentences, dtype=np.object_).reshape(-1, 1))
