"""A Triton that speaks its real protocol and holds two models: `embed`, and an `injection` that takes texts with the
word "attack" for such."""

import asyncio
import hashlib
import struct
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc as pb_grpc

WIDTH = 384


def vector_of(text: str) -> npt.NDArray[np.float32]:
    """The same unit vector for the same text."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    drawn = np.random.default_rng(seed).standard_normal(WIDTH).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn), np.float32)


class FakeTriton(pb_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # untyped
    """Fails with `code`, or waits for ever where `hold` is set; serves a reranker where `reranks` is."""

    def __init__(self, code: grpc.StatusCode | None = None, hold: bool = False, reranks: bool = True) -> None:
        self.reranks = reranks
        self.code = code
        self.hold = hold
        self.held = asyncio.Event()
        self.left = asyncio.Event()
        self.requests: list[Any] = []
        self.timeouts: list[float] = []

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802 (named as in the proto)
        return pb.ServerReadyResponse(ready=True)

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.ModelReadyResponse(ready=request.name in ("embed", "embed_passages", "injection"))

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.requests.append(request)
        self.timeouts.append(context.time_remaining())
        if self.code is not None:
            await context.abort(self.code, "said by Triton")
        if self.hold:
            self.held.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
        if request.model_name == "injection":
            return _response(_injection(request))
        if request.model_name == "rerank":
            if not self.reranks:
                await context.abort(grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'rerank' is not found")
            return _response(_rerank(request))
        return _response(_embed(request))


def _embed(request: Any) -> dict[str, npt.NDArray[Any]]:
    texts = strings(tensor(request, "TEXT"))
    vectors = np.array([vector_of(text) for text in texts], "<f4")
    return {"EMBEDDING": vectors, "TOKENS": np.array([len(text.split()) for text in texts], "<i4")}


def _rerank(request: Any) -> dict[str, npt.NDArray[Any]]:
    """A text is worth the share of the query's words that it has."""
    queries = [set(text.split()) for text in strings(tensor(request, "QUERY"))]
    texts = [text.split() for text in strings(tensor(request, "TEXT"))]
    scores = [[len(words & set(text)) / len(words)] for words, text in zip(queries, texts, strict=True)]
    tokens = [[len(words) + len(text)] for words, text in zip(queries, texts, strict=True)]
    return {"SCORE": np.array(scores, "<f4"), "TOKENS": np.array(tokens, "<i4")}


def _injection(request: Any) -> dict[str, npt.NDArray[Any]]:
    texts = strings(tensor(request, "TEXT"))
    return {"SCORE": np.array([[0.75 if "attack" in text else 0.125] for text in texts], "<f4")}


def _response(outputs: dict[str, npt.NDArray[Any]]) -> Any:
    response = pb.ModelInferResponse()
    for name, array in outputs.items():
        response.outputs.add(name=name, shape=array.shape)
        response.raw_output_contents.append(array.tobytes())
    return response


def tensor(request: Any, name: str) -> bytes:
    """The raw bytes of one input."""
    found: bytes = request.raw_input_contents[[given.name for given in request.inputs].index(name)]
    return found


def strings(data: bytes) -> list[str]:
    """The items of a string tensor."""
    items, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        items.append(data[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return items
