"""OpenAIService: JSON in, runs and embeddings below, JSON or server-sent events out."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
import numpy as np
import orjson
from google.api.httpbody_pb2 import HttpBody
from headworks.gateway.v1 import openai_service_pb2 as pb
from headworks.gateway.v1 import openai_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2, orchestrator_service_pb2_grpc, run_event_pb2

from gateway import metrics
from gateway.openai import chat_request, embeddings
from gateway.openai.chat_request import ChatRequest
from gateway.openai.chat_response import Completion
from gateway.openai.errors import body as error_body
from services.runtime import clients, statuses
from services.runtime.call import Call, current, outgoing
from services.runtime.errors import ModelNotFound
from services.runtime.interceptors.pipeline import Context
from services.runtime.triton import TritonClient

JSON = "application/json"
EVENTS = "text/event-stream"
DONE = b"data: [DONE]\n\n"
OWNER = "headworks"

Events: TypeAlias = Sequence[run_event_pb2.RunEvent]


class OpenAIServicer(pb_grpc.OpenAIServiceServicer):
    def __init__(self, orchestrator: grpc.aio.Channel, triton: TritonClient, embed_seconds: float) -> None:
        self._orchestrator = orchestrator_service_pb2_grpc.OrchestratorServiceStub(orchestrator)
        self._triton = triton
        self._embed_seconds = embed_seconds

    async def CreateChatCompletion(self, request: HttpBody, context: Context) -> AsyncIterator[HttpBody]:
        chat = chat_request.parse(request.data)
        call = current()
        completion = Completion(chat.run.model)
        async with aclosing(self._events(chat, call)) as events:
            if chat.stream:
                async with aclosing(_stream(events, chat, completion, call)) as messages:
                    async for message in messages:
                        yield message
            else:
                async for batch in events:
                    for event in batch:
                        completion.take(event)
                yield _json(completion.whole(time.monotonic() - call.started))
        metrics.COMPLETIONS.labels(chat.run.model, str(chat.stream).lower()).inc()

    async def CreateEmbedding(self, request: HttpBody, context: Context) -> HttpBody:
        asked = embeddings.parse(request.data)
        vectors, tokens = [], 0
        for start in range(0, len(asked.texts), embeddings.BATCH):
            timeout = outgoing(self._embed_seconds)["timeout"]
            batch = await self._triton.embed(asked.texts[start : start + embeddings.BATCH], timeout=timeout)
            vectors.append(batch.vectors)
            tokens += batch.tokens
        return _json(embeddings.response(np.concatenate(vectors), tokens, asked.base64))

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> HttpBody:
        return _json({"object": "list", "data": await self._models()})

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> HttpBody:
        found = next((model for model in await self._models() if model["id"] == request.model), None)
        if found is None:
            raise ModelNotFound(request.model)
        return _json(found)

    async def _models(self) -> list[dict[str, Any]]:
        request = orchestrator_service_pb2.ListModelsRequest()
        answered = await clients.unary(self._orchestrator.ListModels(request, **outgoing(current().remaining)))
        names = [model.id for model in answered.models] + [embeddings.MODEL]
        return [{"id": name, "object": "model", "created": 0, "owned_by": OWNER} for name in names]

    async def _events(self, chat: ChatRequest, call: Call) -> AsyncGenerator[Events, None]:
        run = self._orchestrator.Run(chat.run, **outgoing(call.remaining, call))
        async with aclosing(clients.stream(run)) as responses:
            async for response in responses:
                yield response.events


async def _stream(
    events: AsyncIterator[Events], chat: ChatRequest, completion: Completion, call: Call
) -> AsyncGenerator[HttpBody, None]:
    """Chunks as server-sent events. An error before the first is raised; one after it is an event of its own, for
    the status has gone out."""
    begun = False
    try:
        async for batch in events:
            deltas = [delta for event in batch if (delta := completion.take(event)) is not None]
            if deltas:
                begun = True
                yield _events(*(completion.chunk(delta) for delta in deltas))
    except grpc.aio.AioRpcError as error:
        if not begun:
            raise
        failed = statuses.from_rpc_error(error)
        call.code, call.reason = int(failed.kind), failed.reason
        yield HttpBody(content_type=EVENTS, data=b"data: " + error_body(failed).encode() + b"\n\n" + DONE)
        return
    usage = [completion.usage_chunk()] if chat.include_usage else []
    last = _events(completion.last_chunk(time.monotonic() - call.started), *usage)
    yield HttpBody(content_type=EVENTS, data=last.data + DONE)


def _json(value: dict[str, Any]) -> HttpBody:
    return HttpBody(content_type=JSON, data=orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))


def _events(*values: dict[str, Any]) -> HttpBody:
    data = b"".join(b"data: " + orjson.dumps(value) + b"\n\n" for value in values)
    return HttpBody(content_type=EVENTS, data=data)
