"""Triton's inference protocol (KServe v2) over a channel of ours."""

from services.runtime.triton.client import (
    Embeddings,
    Extracted,
    ExtractRequest,
    PassageEmbeddings,
    TooManyInferences,
    TritonClient,
    TritonError,
)

__all__ = [
    "Embeddings",
    "ExtractRequest",
    "Extracted",
    "PassageEmbeddings",
    "TooManyInferences",
    "TritonClient",
    "TritonError",
]
