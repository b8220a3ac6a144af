"""OpenAIService: JSON in, runs and embeddings below, JSON or server-sent events out."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
import numpy as np
import orjson
from google.api.httpbody_pb2 import HttpBody
from headworks.gateway.v1 import openai_service_pb2 as pb
from headworks.gateway.v1 import openai_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2, orchestrator_service_pb2_grpc

from gateway import metrics
from gateway.openai import chat_request, embeddings, models
from gateway.openai.chat_request import ChatRequest
from gateway.openai.chat_response import Completion
from gateway.openai.chunks import DONE, Chunks
from gateway.openai.errors import body as error_body
from gateway.openai.seen import Seen
from gateway.openai.waiting import Events, patiently
from services.runtime import clients, statuses
from services.runtime.call import Call, current, outgoing
from services.runtime.errors import DomainError, ModelNotFound
from services.runtime.interceptors.pipeline import Context
from services.runtime.triton import TritonClient

JSON = "application/json"
EVENTS = "text/event-stream"


class OpenAIServicer(pb_grpc.OpenAIServiceServicer):
    def __init__(
        self, orchestrator: grpc.aio.Channel, triton: TritonClient, embed_seconds: float, heartbeat_seconds: float
    ) -> None:
        self._orchestrator = orchestrator_service_pb2_grpc.OrchestratorServiceStub(orchestrator)
        self._triton = triton
        self._embed_seconds = embed_seconds
        self._heartbeat_seconds = heartbeat_seconds

    async def CreateChatCompletion(self, request: HttpBody, context: Context) -> AsyncIterator[HttpBody]:
        chat = chat_request.parse(request.data)
        call = current()
        seen = Seen(chat.run.model)
        async with aclosing(self._run(chat, call, seen)) as events:
            if chat.stream:
                async with aclosing(_stream(events, chat, seen, call)) as messages:
                    async for message in messages:
                        yield message
            else:
                completion = Completion(seen)
                async for batch in events:
                    completion.take(batch)
                yield _json(completion.json(time.monotonic() - call.started))
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
        return [*map(models.model, answered.models), models.EMBEDDER]

    async def _run(self, chat: ChatRequest, call: Call, seen: Seen) -> AsyncGenerator[Events, None]:
        """The events of the run; see `patiently`."""
        run = self._orchestrator.Run(chat.run, **outgoing(call.remaining, call))
        async with (
            aclosing(clients.stream(run)) as responses,
            aclosing(_batches(responses)) as batches,
            aclosing(patiently(batches, seen, call, self._heartbeat_seconds)) as events,
        ):
            async for batch in events:
                yield batch


async def _batches(
    responses: AsyncGenerator[orchestrator_service_pb2.RunResponse, None],
) -> AsyncGenerator[Events, None]:
    async for response in responses:
        yield response.events


async def _stream(
    events: AsyncIterator[Events], chat: ChatRequest, seen: Seen, call: Call
) -> AsyncGenerator[HttpBody, None]:
    """Chunks as server-sent events. An error before the first is raised; one after it is an event of its own, for
    the status has gone out."""
    chunks = Chunks(seen)
    begun = False
    try:
        async for batch in events:
            if data := chunks.take(batch) if batch else chunks.waiting():
                begun = True
                yield HttpBody(content_type=EVENTS, data=data)
    except (grpc.aio.AioRpcError, DomainError) as error:
        if not begun:
            raise
        failed = error if isinstance(error, DomainError) else statuses.from_rpc_error(error)
        call.code, call.reason = int(failed.kind), failed.reason
        yield HttpBody(content_type=EVENTS, data=b"data: " + error_body(failed).encode() + b"\n\n" + DONE)
        return
    yield HttpBody(content_type=EVENTS, data=chunks.last(time.monotonic() - call.started, chat.include_usage))


def _json(value: dict[str, Any]) -> HttpBody:
    return HttpBody(content_type=JSON, data=orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))
