"""Calls of the embedder."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gateway.calls.pipeline import CallPipeline
from gateway.calls.request import ModelRequest
from services.llm.price import FREE
from services.llm.tokens import estimate
from services.runtime import clients
from services.runtime.call import Call, outgoing
from services.runtime.time_limit import TimeLimit
from services.runtime.triton import Embeddings, TritonClient

BATCH = 64


class EmbedCalls:
    """`limit`: how long a batch of texts may take."""

    def __init__(self, pipeline: CallPipeline, triton: TritonClient, limit: TimeLimit) -> None:
        self._pipeline = pipeline
        self._triton = triton
        self._limit = limit

    async def embed(self, model: str, texts: Sequence[str], call: Call) -> tuple[npt.NDArray[np.float32], int]:
        """Vectors, float32 [n, 384], and how many tokens the texts have; settled. Raises a DomainError."""
        tokens = sum(map(estimate, texts))
        asked = ModelRequest(model, texts, prompt_tokens=tokens, answer_tokens=0, stream=False, instructs=False)
        admitted = await self._pipeline.admit(call, asked, FREE)
        try:
            vectors, tokens = [], 0
            for start in range(0, len(admitted.texts), BATCH):
                batch = await self._embed(list(admitted.texts[start : start + BATCH]), call)
                vectors.append(batch.vectors)
                tokens += batch.tokens
            admitted.meter.report(tokens, 0, 0)
            admitted.finish("stop")
            await admitted.settle()
        finally:
            admitted.close("error")
        return np.concatenate(vectors), tokens

    async def _embed(self, texts: list[str], call: Call) -> Embeddings:
        with clients.limited(self._limit, call, "the embedding of a batch of texts"):
            return await self._triton.embed(texts, timeout=outgoing(self._limit.seconds, call)["timeout"])
