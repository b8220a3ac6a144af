"""Triton's inference protocol (KServe v2) over a channel of ours."""

from services.runtime.triton.client import (
    Embeddings,
    PassageEmbeddings,
    TooManyInferences,
    TritonClient,
)
from services.runtime.triton.llm import Chunk, LlmClient, LlmUnavailable, TooManyGenerations

__all__ = [
    "Chunk",
    "Embeddings",
    "LlmClient",
    "LlmUnavailable",
    "PassageEmbeddings",
    "TooManyGenerations",
    "TooManyInferences",
    "TritonClient",
]
