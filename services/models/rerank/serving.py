"""What the `rerank` model does with a batch of requests, free of Triton's types."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.models.errors import InvalidRequest
from services.models.rerank.pairs import Pair, Reranker

# Triton hands strings over as an object array of bytes [pairs, 1].
Strings = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class RerankResponse:
    """scores: float32 [n, 1], 0 to 1. tokens: int32 [n, 1], those that were read of each pair."""

    scores: npt.NDArray[np.float32]
    tokens: npt.NDArray[np.int32]


def read_request(query: Strings, text: Strings, most: npt.NDArray[np.int32]) -> list[Pair]:
    """Decodes the tensors QUERY, TEXT and MAX_TOKENS. Raises InvalidRequest."""
    queries, texts = _decoded("QUERY", query), _decoded("TEXT", text)
    return [Pair(*parts) for parts in zip(queries, texts, most.ravel().tolist(), strict=True)]


def _decoded(name: str, tensor: Strings) -> list[str]:
    try:
        return [str(item, "utf-8") for item in tensor.ravel()]
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{name} is not UTF-8: {error.reason} at byte {error.start}") from error


def rerank(reranker: Reranker, requests: Sequence[Sequence[Pair]]) -> list[RerankResponse]:
    """All requests in one go: a pair of one shares a forward pass with those of another."""
    scored = iter(reranker.score([pair for request in requests for pair in request]))
    responses = []
    for request in requests:
        own = [next(scored) for _ in request]
        scores = np.array([one.score for one in own], dtype=np.float32).reshape(-1, 1)
        tokens = np.array([one.tokens for one in own], dtype=np.int32).reshape(-1, 1)
        responses.append(RerankResponse(scores, tokens))
    return responses
