"""OpenAI's paths: JSON in, runs and embeddings below, JSON or server-sent events out."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any

import grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2, orchestrator_service_pb2_grpc

from gateway import metrics
from gateway.access.permissions import run as run_needs
from gateway.budgets.errors import BudgetExceeded
from gateway.faces.http.direct import Direct, allow
from gateway.faces.http.message import EVENTS, Body, Request, as_json
from gateway.faces.http.routes import Route, plain_route
from gateway.openai import chat_request, embeddings, fields, models
from gateway.openai.chat_request import ChatRequest
from gateway.openai.chat_response import Completion
from gateway.openai.chunks import Chunks, failure
from gateway.openai.seen import Seen
from gateway.openai.waiting import Events, patiently
from gateway.policy.runs import RunGate
from services.runtime import clients, statuses
from services.runtime.call import Call, outgoing
from services.runtime.errors import DomainError, ModelNotFound


class OpenAIFace:
    """`gate` starts runs, `direct` answers what needs none."""

    def __init__(self, orchestrator: grpc.aio.Channel, gate: RunGate, direct: Direct, heartbeat_seconds: float) -> None:
        self._orchestrator = orchestrator_service_pb2_grpc.OrchestratorServiceStub(orchestrator)
        self._gate = gate
        self._direct = direct
        self._heartbeat_seconds = heartbeat_seconds

    def routes(self) -> Iterable[Route]:
        """Each of OpenAI's paths that is served."""
        return (
            plain_route("POST", "/v1/chat/completions", self.create_chat_completion),
            plain_route("POST", "/v1/embeddings", self.create_embedding),
            plain_route("GET", "/v1/models", self.list_models),
            plain_route("GET", "/v1/models/{model}", self.get_model),
        )

    async def create_chat_completion(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        body = fields.parse(request.body)
        if self._direct.serves(body.get("model")):
            async with aclosing(self._direct.complete(body, call)) as messages:
                async for message in messages:
                    yield message
            return
        chat = chat_request.read(body)
        allow(call, *run_needs(chat.run.model, chat.run.collection, chat.run.session_id))
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
                yield as_json(completion.json(time.monotonic() - call.started))
        metrics.COMPLETIONS.labels(chat.run.model, str(chat.stream).lower()).inc()

    async def create_embedding(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        yield await self._direct.embed(embeddings.parse(request.body), call)

    async def list_models(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        yield as_json({"object": "list", "data": await self._models(call)})

    async def get_model(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        model = next((one for one in await self._models(call) if one["id"] == request.params["model"]), None)
        if model is None:
            raise ModelNotFound(request.params["model"])
        yield as_json(model)

    async def _models(self, call: Call) -> list[dict[str, Any]]:
        request = orchestrator_service_pb2.ListModelsRequest()
        answered = await clients.unary(self._orchestrator.ListModels(request, **outgoing(call.remaining, call)))
        own = self._direct.models()
        names = {model["id"] for model in own}
        return [*(models.model(one) for one in answered.models if one.id not in names), *own, models.EMBEDDER]

    async def _run(self, chat: ChatRequest, call: Call, seen: Seen) -> AsyncGenerator[Events, None]:
        """The events of the run; see `patiently`."""
        async with (
            aclosing(self._gate.run(chat.run, call, chat.stream)) as batches,
            aclosing(patiently(batches, seen, call, self._heartbeat_seconds)) as events,
        ):
            try:
                async for batch in events:
                    yield batch
            except BudgetExceeded:
                if seen.finished is None:
                    raise  # before anything was answered


async def _stream(
    events: AsyncIterator[Events], chat: ChatRequest, seen: Seen, call: Call
) -> AsyncGenerator[Body, None]:
    """Chunks as server-sent events. An error before the first is raised; one after it is an event of its own, for
    the status has gone out."""
    chunks = Chunks(seen)
    begun = False
    try:
        async for batch in events:
            if data := chunks.take(batch) if batch else chunks.waiting():
                begun = True
                yield Body(EVENTS, data)
    except (grpc.aio.AioRpcError, DomainError) as error:
        if not begun:
            raise
        failed = error if isinstance(error, DomainError) else statuses.from_rpc_error(error)
        call.code, call.reason = int(failed.kind), failed.reason
        yield Body(EVENTS, failure(failed))
        return
    yield Body(EVENTS, chunks.last(time.monotonic() - call.started, chat.include_usage))
