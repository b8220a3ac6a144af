"""A Triton that speaks its real protocol and holds two models: `embed`, and an `extract` that does as it is told."""

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

# tritonclient ships neither annotations nor stubs
from tritonclient.grpc import service_pb2 as pb  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2_grpc as pb_grpc  # type: ignore[import-untyped]

WIDTH = 384


@dataclass(frozen=True)
class Quote:
    """One response of `extract`: the number of a sentence, or -1."""

    sentence: int
    confidence: float = 0.9


def vector_of(text: str) -> npt.NDArray[np.float32]:
    """The same unit vector for the same text."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    drawn = np.random.default_rng(seed).standard_normal(WIDTH).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn), np.float32)


class FakeTriton(pb_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # untyped
    """`quotes` is what extract answers; `hold` holds it up after the first, `error` is what the model says instead."""

    def __init__(self, quotes: Sequence[Quote] = (), *, error: str = "", hold: bool = False) -> None:
        self.quotes = quotes
        self.error = error
        self.hold = hold
        self.code: grpc.StatusCode | None = None
        self.requests: list[Any] = []
        self.timeouts: list[float] = []
        self.cancelled = 0

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802 (named as in the proto)
        return pb.ServerReadyResponse(ready=True)

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.ModelReadyResponse(ready=request.name in ("embed", "extract"))

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._begin(request, context)
        texts = strings(request.raw_input_contents[0])
        response = pb.ModelInferResponse(model_name="embed")
        vectors = np.array([vector_of(text) for text in texts], "<f4")
        tokens = np.array([len(text.split()) for text in texts], "<i4")
        for name, array in (("EMBEDDING", vectors), ("TOKENS", tokens)):
            response.outputs.add(name=name, shape=array.shape)
            response.raw_output_contents.append(array.tobytes())
        return response

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: N802
        request = await anext(requests)
        await self._begin(request, context)
        if self.error:
            yield pb.ModelStreamInferResponse(error_message=self.error)
            return
        try:
            for number, quote in enumerate(self.quotes):
                if self.hold and number:
                    await asyncio.Event().wait()
                yield _answer(quote)
            final = pb.ModelStreamInferResponse()
            final.infer_response.parameters["triton_final_response"].bool_param = True
            yield final
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def _begin(self, request: Any, context: Any) -> None:
        self.requests.append(request)
        self.timeouts.append(context.time_remaining())
        if self.code is not None:
            await context.abort(self.code, "said by Triton")


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


def _answer(quote: Quote) -> Any:
    message = pb.ModelStreamInferResponse()
    values = {
        "SENTENCE": struct.pack("<i", quote.sentence),
        "SCORE": struct.pack("<f", 0.5),
        "CONFIDENCE": struct.pack("<f", quote.confidence),
        "TOKENS": struct.pack("<ii", 40, 7),
    }
    for name, value in values.items():
        message.infer_response.outputs.add(name=name, shape=[1])
        message.infer_response.raw_output_contents.append(value)
    message.infer_response.parameters["triton_final_response"].bool_param = False
    return message
