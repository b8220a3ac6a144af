"""Triton's inference protocol (KServe v2) over a channel of ours."""

from services.runtime.triton.client import (
    EMBED_TOKENS,
    RERANK_TOKENS,
    RERANKER,
    UNKNOWN_MODEL,
    Embeddings,
    PassageEmbeddings,
    RerankerNotServed,
    RerankScores,
    TooManyInferences,
    TritonClient,
)
from services.runtime.triton.replicas import open_channels

__all__ = [
    "EMBED_TOKENS",
    "RERANKER",
    "RERANK_TOKENS",
    "UNKNOWN_MODEL",
    "Embeddings",
    "PassageEmbeddings",
    "RerankScores",
    "RerankerNotServed",
    "TooManyInferences",
    "TritonClient",
    "open_channels",
]
