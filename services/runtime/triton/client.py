"""Triton's models of single answers: those of embedders, `injection` and `rerank`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from opentelemetry.trace import SpanKind

from services.runtime import clients, tracing
from services.runtime.call import ORDINAL_KEY
from services.runtime.embedders import MINILM, WIDTH, EmbedderSpec
from services.runtime.errors import DomainError, ErrorKind
from services.runtime.replicas import AnyReplica, Metadata
from services.runtime.reranker import RERANKER, RerankerNotServed
from services.runtime.triton.replicas import Replicas
from services.runtime.triton.wire import pb, split, strings

EMBED_TOKENS = 512
"""Wordpieces that `embed` reads of a text."""
READY_SECONDS = 2.0
# In Triton's words for a model that it has not been told to load; of one that it loads this moment it says "not ready".
UNKNOWN_MODEL = "unknown model"


class TooManyInferences(DomainError):
    """One request too many is under way; trying again in a moment may help."""

    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_INFERENCES"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} requests to the models are under way, which is the limit; try again", limit=str(limit)
        )


@dataclass(frozen=True, slots=True)
class Embeddings:
    """vectors: float32 [n, 384], length one. lengths: int32 [n], wordpieces of each text; of one with more than
    EMBED_TOKENS so many are read."""

    vectors: npt.NDArray[np.float32]
    lengths: npt.NDArray[np.int32]

    @property
    def tokens(self) -> int:
        """Of all texts together."""
        return int(self.lengths.sum())


@dataclass(frozen=True, slots=True)
class PassageEmbeddings:
    """vectors: float32 [n, 384], length one. tokens: wordpieces, all texts together.

    sentences: per passage int8 [its spans, 384], directions, each with its own scale; zeros for a span not read.
    """

    vectors: npt.NDArray[np.float32]
    tokens: int
    sentences: list[npt.NDArray[np.int8]]


@dataclass(frozen=True, slots=True)
class RerankScores:
    """scores: of each text, 0 to 1. tokens: wordpieces that were read, of the texts and of the query beside each."""

    scores: list[float]
    tokens: int


class TritonClient:
    """The models of a Triton server, or of several that serve the same, at most `limit` requests at once, as Triton's
    own queue has no bound.

    Safe for concurrent use; the channels stay the caller's to close.
    """

    def __init__(self, *channels: grpc.aio.Channel, limit: int = 512) -> None:
        self._replicas = Replicas(channels)
        self._limit = limit
        self._under_way = 0

    async def embed(self, texts: Sequence[str], *, timeout: float, embedder: EmbedderSpec = MINILM) -> Embeddings:
        """Embeds at most 128 texts as queries. Raises grpc.aio.AioRpcError or TooManyInferences."""
        if not texts:
            return Embeddings(np.empty((0, WIDTH), dtype=np.float32), np.empty(0, dtype=np.int32))
        request = _text_request(embedder.queries, texts)
        outputs = _outputs(await self._infer(request, timeout))
        return Embeddings(_vectors(outputs), _lengths(outputs))

    async def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]], *, timeout: float,
        embedder: EmbedderSpec = MINILM,
    ) -> PassageEmbeddings:  # fmt: skip
        """Embeds at most 128 passages and their sentences (character ranges).

        Raises grpc.aio.AioRpcError or TooManyInferences.
        """
        if not texts:
            return PassageEmbeddings(np.empty((0, WIDTH), dtype=np.float32), 0, [])
        request = _text_request(embedder.passages, texts)
        packed = [np.array(ranges, dtype="<i4").tobytes() for ranges in spans]
        _add(request, "SPANS", "BYTES", [len(spans), 1], strings(packed))
        outputs = _outputs(await self._infer(request, timeout))
        sentences = [np.frombuffer(item, dtype=np.int8).reshape(-1, WIDTH) for item in split(outputs["SENTENCES"])]
        return PassageEmbeddings(_vectors(outputs), int(_lengths(outputs).sum()), sentences)

    async def injection_scores(self, texts: Sequence[str], *, timeout: float) -> list[float]:
        """How likely each of at most 128 texts is to be prompt injection, 0 to 1.

        Raises grpc.aio.AioRpcError or TooManyInferences.
        """
        if not texts:
            return []
        outputs = _outputs(await self._infer(_text_request("injection", texts), timeout))
        return [float(score) for score in np.frombuffer(outputs["SCORE"], dtype="<f4")]

    async def rerank(self, query: str, texts: Sequence[str], *, timeout: float, max_tokens: int = 0) -> RerankScores:
        """How well each of at most 128 texts answers the query. At most `max_tokens` wordpieces of a text are read; 0,
        and more than RERANK_TOKENS, are RERANK_TOKENS.

        Raises grpc.aio.AioRpcError, TooManyInferences or RerankerNotServed.
        """
        if not texts:
            return RerankScores([], 0)
        request = _text_request(RERANKER, texts)
        shape = [len(texts), 1]
        _add(request, "QUERY", "BYTES", shape, strings([query.encode()] * len(texts)))
        _add(request, "MAX_TOKENS", "INT32", shape, np.full(shape, max_tokens, dtype="<i4").tobytes())
        try:
            outputs = _outputs(await self._infer(request, timeout))
        except grpc.aio.AioRpcError as error:
            if UNKNOWN_MODEL in (error.details() or ""):
                raise RerankerNotServed from error
            raise
        scores = np.frombuffer(outputs["SCORE"], dtype="<f4").tolist()
        return RerankScores(scores, int(_lengths(outputs).sum()))

    async def ready(self, models: Iterable[str]) -> bool:
        """Whether a server and these models are loaded and serving; False also when none can be reached."""
        return await AnyReplica(partial(self._ready, list(models)))()

    async def _ready(self, models: Sequence[str], metadata: Metadata) -> bool:
        """Of one of them, by its number among those that are asked."""
        stubs = self._replicas.stubs
        stub = stubs[int(dict(metadata)[ORDINAL_KEY]) % len(stubs)]
        told: dict[str, Any] = {"timeout": READY_SECONDS, "metadata": metadata}
        try:
            if not (await clients.unary(stub.ServerReady(pb.ServerReadyRequest(), **told))).ready:
                return False
            for name in models:
                if not (await clients.unary(stub.ModelReady(pb.ModelReadyRequest(name=name), **told))).ready:
                    return False
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                return False
            raise
        return True

    async def _infer(self, request: Any, timeout: float) -> Any:
        if self._under_way >= self._limit:
            raise TooManyInferences(self._limit)
        self._under_way += 1
        try:
            model = request.model_name
            with tracing.span(f"triton/{model}", SpanKind.CLIENT, attributes=tracing.triton(model)):
                metadata = tuple(tracing.inject())
                return await self._replicas.infer(request, timeout, metadata)
        finally:
            self._under_way -= 1


def _add(request: Any, name: str, datatype: str, shape: Sequence[int], data: bytes) -> None:
    request.inputs.add(name=name, datatype=datatype, shape=shape)
    request.raw_input_contents.append(data)


def _text_request(model: str, texts: Sequence[str]) -> Any:
    request = pb.ModelInferRequest(model_name=model)
    _add(request, "TEXT", "BYTES", [len(texts), 1], strings(text.encode() for text in texts))
    return request


def _outputs(response: Any) -> dict[str, bytes]:
    return {output.name: data for output, data in zip(response.outputs, response.raw_output_contents, strict=True)}


def _vectors(outputs: dict[str, bytes]) -> npt.NDArray[np.float32]:
    return np.frombuffer(outputs["EMBEDDING"], dtype="<f4").reshape(-1, WIDTH)


def _lengths(outputs: dict[str, bytes]) -> npt.NDArray[np.int32]:
    return np.frombuffer(outputs["TOKENS"], dtype="<i4")
