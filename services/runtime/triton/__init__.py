"""Triton's inference protocol (KServe v2) over a channel of ours."""

from services.runtime.triton.client import (
    EMBED_TOKENS,
    UNKNOWN_MODEL,
    Embeddings,
    PassageEmbeddings,
    RerankScores,
    TooManyInferences,
    TritonClient,
)
from services.runtime.triton.replicas import open_channels

__all__ = [
    "EMBED_TOKENS",
    "UNKNOWN_MODEL",
    "Embeddings",
    "PassageEmbeddings",
    "RerankScores",
    "TooManyInferences",
    "TritonClient",
    "open_channels",
]
