"""Calls of the reranker."""

from collections.abc import AsyncGenerator, Sequence
from functools import partial

from gateway.calls.batches import in_batches
from gateway.calls.pipeline import CallPipeline
from gateway.calls.request import ModelRequest
from services.llm.tokens import estimate_prompt
from services.runtime import clients
from services.runtime.call import Call, outgoing
from services.runtime.time_limit import TimeLimit
from services.runtime.triton import TritonClient

# Few, for searches wait for the same model.
BATCH = 16


class RerankCalls:
    """`limit`: how long a batch of texts may take."""

    def __init__(self, pipeline: CallPipeline, triton: TritonClient, limit: TimeLimit) -> None:
        self._pipeline = pipeline
        self._triton = triton
        self._limit = limit

    async def rerank(
        self, model: str, query: str, texts: Sequence[str], max_tokens: int, call: Call
    ) -> tuple[list[float], int]:
        """How well each text answers the query, 0 to 1, of whose tokens `max_tokens` are read at most; and how many
        tokens were read in all, the query's with each text. Settled. Raises RerankerNotServed, another DomainError."""
        tokens = estimate_prompt(texts) + len(texts) * estimate_prompt([query])
        asked = ModelRequest(
            model, [query, *texts], prompt_tokens=tokens, answer_tokens=0, lasts=False, instructs=False
        )
        scores, used = await in_batches(self._pipeline, call, asked, partial(self._batches, call, max_tokens))
        return [score for batch in scores for score in batch], used

    async def _batches(
        self, call: Call, max_tokens: int, texts: Sequence[str]
    ) -> AsyncGenerator[tuple[list[float], int], None]:
        query, *documents = texts
        for start in range(0, len(documents), BATCH):
            batch = documents[start : start + BATCH]
            with clients.limited(self._limit, call, "the reranking of a batch of texts"):
                timeout = outgoing(self._limit.seconds, call)["timeout"]
                found = await self._triton.rerank(query, batch, timeout=timeout, max_tokens=max_tokens)
            yield found.scores, found.tokens
