"""A Triton whose model `llm` speaks the real protocol on its streams, and says what it is told."""

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import grpc
import orjson
from tritonclient.grpc import service_pb2 as pb

from tests.fakes.triton import FakeTriton, strings, tensor

Chunk = Mapping[str, Any]
HOLD: Chunk = {}  # wait here for a cancel


def finish(reason: str = "stop", prompt: int = 5, completion: int = 2, cached: int = 1, **more: Any) -> Chunk:
    return {"finish": reason, "usage": {"prompt": prompt, "completion": completion, "cached": cached}, **more}


class FakeTritonLlm(FakeTriton):
    """`says` holds one script of chunks for each generation, the last for all further ones; a grpc.StatusCode in place
    of a script breaks the stream, as a Triton that dies does."""

    def __init__(self, *says: Sequence[Chunk] | grpc.StatusCode, tokens: int = 42) -> None:
        super().__init__()
        self._says = list(says)
        self._tokens = tokens
        self.asked: list[Any] = []
        self.cancelled: list[str] = []
        self._holding: dict[str, asyncio.Event] = {}

    async def ModelStreamInfer(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802 (as in the proto)
        answers: asyncio.Queue[Any] = asyncio.Queue()

        async def read() -> None:
            async for request in requests:
                asked = orjson.loads(strings_of(request))
                if asked["op"] == "cancel":
                    self.cancelled.append(asked["id"])
                    self._holding.setdefault(asked["id"], asyncio.Event()).set()
                    await answers.put(_response(request.id, [], final=True))
                    continue
                self.asked.append(asked)
                tasks.append(asyncio.create_task(self._answer(request.id, asked, answers)))

        tasks = [asyncio.create_task(read())]
        try:
            while True:
                answer = await answers.get()
                if isinstance(answer, grpc.StatusCode):
                    await context.abort(answer, "Triton is gone")
                yield answer
        finally:
            for task in tasks:
                task.cancel()

    async def _answer(self, id_: str, asked: Any, answers: "asyncio.Queue[Any]") -> None:
        if asked["op"] == "count":
            await answers.put(_response(id_, [{"prompt_tokens": self._tokens}], final=True))
            return
        says = self._says.pop(0) if len(self._says) > 1 else self._says[0]
        if isinstance(says, grpc.StatusCode):
            await answers.put(says)
            return
        for number, chunk in enumerate(says, 1):
            if chunk is HOLD:
                await self._holding.setdefault(id_, asyncio.Event()).wait()
            else:
                await answers.put(_response(id_, [chunk], final=number == len(says)))


def strings_of(request: Any) -> str:
    (found,) = strings(tensor(request, "REQUEST"))
    return found


def _response(id_: str, chunks: Sequence[Chunk], final: bool = False) -> Any:
    response = pb.ModelStreamInferResponse()
    inferred = response.infer_response
    inferred.model_name, inferred.id = "llm", id_
    inferred.parameters["triton_final_response"].bool_param = final
    if chunks:
        body = orjson.dumps(chunks)
        inferred.outputs.add(name="RESPONSE", datatype="BYTES", shape=[1])
        inferred.raw_output_contents.append(struct.pack("<I", len(body)) + body)
    return response
