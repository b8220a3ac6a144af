"""Calls of the embedder."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gateway.calls.call import BUDGET, ModelCall
from gateway.calls.pipeline import CallPipeline
from gateway.calls.request import ModelRequest
from services.llm.price import FREE
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
        admitted = await self._pipeline.admit(call, asked, FREE)
        try:
            vectors, tokens = [], 0
            for start in range(0, len(admitted.texts), BATCH):
                batch = await self._embed(list(admitted.texts[start : start + BATCH]), call)
                _check(batch.lengths, start)
                vectors.append(batch.vectors)
                tokens += batch.tokens
                admitted.begin()
                admitted.meter.report(tokens, 0, 0)
                await _cover(admitted)
            admitted.finish("stop")
            await admitted.settle()
        except Exception:
            admitted.close("error")
            raise
        finally:
            admitted.close("cancelled")
        return np.concatenate(vectors), tokens

    async def _embed(self, texts: list[str], call: Call) -> Embeddings:
        with clients.limited(self._limit, call, "the embedding of a batch of texts"):
            return await self._triton.embed(texts, timeout=outgoing(self._limit.seconds, call)["timeout"])


async def _cover(call: ModelCall) -> None:
    """Reserve for what was used so far. Raises BudgetExceeded."""
    if not (call.covered() or await call.extend()):
        call.finish(BUDGET)
        raise call.exceeded


def _check(lengths: npt.NDArray[np.int32], start: int) -> None:
    """Raises InputTooLong for the first text that is not read to its end; `start` is the index of the first."""
    if (lengths > EMBED_TOKENS).any():
        index = int((lengths > EMBED_TOKENS).argmax())
        raise InputTooLong(start + index, int(lengths[index]))
