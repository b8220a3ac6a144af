"""Calls of the embedder."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gateway.calls.pipeline import CallPipeline
from gateway.calls.request import ModelRequest
from services.llm.price import FREE
from services.llm.tokens import estimate
from services.runtime.call import Call, outgoing
from services.runtime.triton import TritonClient

BATCH = 64


class EmbedCalls:
    """`seconds`: how long a batch of texts may take."""

    def __init__(self, pipeline: CallPipeline, triton: TritonClient, seconds: float) -> None:
        self._pipeline = pipeline
        self._triton = triton
        self._seconds = seconds

    async def embed(self, model: str, texts: Sequence[str], call: Call) -> tuple[npt.NDArray[np.float32], int]:
        """Vectors, float32 [n, 384], and how many tokens the texts have; settled. Raises a DomainError."""
        tokens = sum(map(estimate, texts))
        asked = ModelRequest(model, texts, prompt_tokens=tokens, answer_tokens=0, stream=False, instructs=False)
        admitted = await self._pipeline.admit(call, asked, FREE)
        try:
            vectors, tokens = [], 0
            for start in range(0, len(admitted.texts), BATCH):
                timeout = outgoing(self._seconds, call)["timeout"]
                batch = await self._triton.embed(list(admitted.texts[start : start + BATCH]), timeout=timeout)
                vectors.append(batch.vectors)
                tokens += batch.tokens
            admitted.meter.report(tokens, 0, 0)
            admitted.finish("stop")
            await admitted.settle()
        finally:
            admitted.close("error")
        return np.concatenate(vectors), tokens
