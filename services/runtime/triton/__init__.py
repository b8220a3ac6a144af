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
from services.runtime.triton.llm import Chunk, LlmClient, LlmUnavailable, TooManyGenerations

__all__ = [
    "Chunk",
    "Embeddings",
    "ExtractRequest",
    "Extracted",
    "LlmClient",
    "LlmUnavailable",
    "PassageEmbeddings",
    "TooManyGenerations",
    "TooManyInferences",
    "TritonClient",
    "TritonError",
]
