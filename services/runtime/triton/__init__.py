"""Triton's inference protocol (KServe v2) over a channel of ours."""

from services.runtime.triton.client import (
    Embeddings,
    PassageEmbeddings,
    TooManyInferences,
    TritonClient,
)

__all__ = [
    "Embeddings",
    "PassageEmbeddings",
    "TooManyInferences",
    "TritonClient",
]
