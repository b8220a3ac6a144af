"""Calls of the embedder."""

from collections.abc import AsyncGenerator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from gateway.calls.batches import in_batches
from gateway.calls.pipeline import CallPipeline
from gateway.calls.request import ModelRequest
from services.llm.tokens import estimate_prompt
from services.runtime import clients
from services.runtime.call import Call, outgoing
from services.runtime.errors import InvalidArgument
from services.runtime.time_limit import TimeLimit
from services.runtime.triton import EMBED_TOKENS, Embeddings, TritonClient

BATCH = 64


class InputTooLong(InvalidArgument):
    """A text has more tokens than the embedder reads."""

    reason = "CONTEXT_TOO_LONG"

    def __init__(self, index: int, tokens: int) -> None:
        super().__init__(
            f"input[{index}] has {tokens} tokens, more than the model's maximum context length of {EMBED_TOKENS}",
            param=f"input[{index}]", tokens=str(tokens), context_length=str(EMBED_TOKENS),
        )  # fmt: skip


class EmbedCalls:
    """`limit`: how long a batch of texts may take."""

    def __init__(self, pipeline: CallPipeline, triton: TritonClient, limit: TimeLimit) -> None:
        self._pipeline = pipeline
        self._triton = triton
        self._limit = limit

    async def embed(self, model: str, texts: Sequence[str], call: Call) -> tuple[npt.NDArray[np.float32], int]:
        """Vectors, float32 [n, 384], and how many tokens the texts have; settled. Raises a DomainError."""
        tokens = estimate_prompt(texts)
        asked = ModelRequest(model, texts, prompt_tokens=tokens, answer_tokens=0, lasts=False, instructs=False)
        vectors, tokens = await in_batches(self._pipeline, call, asked, partial(self._batches, call))
        return np.concatenate(vectors), tokens

    async def _batches(
        self, call: Call, texts: Sequence[str]
    ) -> AsyncGenerator[tuple[npt.NDArray[np.float32], int], None]:
        for start in range(0, len(texts), BATCH):
            batch = await self._embed(list(texts[start : start + BATCH]), call)
            _check(batch.lengths, start)
            yield batch.vectors, batch.tokens

    async def _embed(self, texts: list[str], call: Call) -> Embeddings:
        with clients.limited(self._limit, call, "the embedding of a batch of texts"):
            return await self._triton.embed(texts, timeout=outgoing(self._limit.seconds, call)["timeout"])


def _check(lengths: npt.NDArray[np.int32], start: int) -> None:
    """Raises InputTooLong for the first text that is not read to its end; `start` is the index of the first."""
    if (lengths > EMBED_TOKENS).any():
        index = int((lengths > EMBED_TOKENS).argmax())
        raise InputTooLong(start + index, int(lengths[index]))
