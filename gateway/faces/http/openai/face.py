"""OpenAI's paths: JSON in, one call of the pipeline, JSON or server-sent events out."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace

import grpc
import orjson
from headworks.orchestrator.v1 import (
    agent_service_pb2,
    agent_service_pb2_grpc,
    orchestrator_service_pb2,
    orchestrator_service_pb2_grpc,
)

from gateway.access.authorize import require
from gateway.calls.agents import VERSION_DIGITS
from gateway.calls.bare import BareCalls
from gateway.calls.embed import EmbedCalls
from gateway.calls.pipeline import CallPipeline
from gateway.calls.rerank import RerankCalls
from gateway.faces.http.message import Body, Request, as_json
from gateway.faces.http.openai import completions, embeddings, fields, models, moderations, rerank
from gateway.faces.http.openai.chat import ChatCompletions
from gateway.faces.http.openai.token_arrays import text_of
from gateway.faces.http.routes import Route, plain_route
from services.llm.openai.chunks import Json
from services.runtime import clients
from services.runtime.call import Call, outgoing
from services.runtime.errors import ModelNotFound
from services.runtime.numerals import numeral
from services.runtime.reranker import RERANKER


class OpenAIFace:
    """An error before the first event of a stream is raised; so is one after it, and the exchange reports it in an
    event."""

    def __init__(
        self,
        orchestrator: grpc.aio.Channel,
        chat: ChatCompletions,
        bare: BareCalls,
        embedder: EmbedCalls,
        reranker: RerankCalls,
        pipeline: CallPipeline,
    ) -> None:
        self._orchestrator = orchestrator_service_pb2_grpc.OrchestratorServiceStub(orchestrator)
        self._agents = agent_service_pb2_grpc.AgentServiceStub(orchestrator)
        self._chat = chat
        self._bare = bare
        self._embedder = embedder
        self._reranker = reranker
        self._pipeline = pipeline

    def routes(self) -> Iterable[Route]:
        """Each of OpenAI's paths that is served; and Cohere's for reranking, of both versions of its API, since OpenAI
        has none."""
        return (
            plain_route("POST", "/v1/chat/completions", self.create_chat_completion),
            plain_route("POST", "/v1/completions", self.create_completion),
            plain_route("POST", "/v1/moderations", self.create_moderation),
            plain_route("POST", "/v1/embeddings", self.create_embedding),
            plain_route("POST", "/v1/rerank", self.create_rerank),
            plain_route("POST", "/v2/rerank", self.create_rerank),
            plain_route("GET", "/v1/models", self.list_models),
            plain_route("GET", "/v1/models/{model}", self.get_model),
        )

    def create_chat_completion(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        return self._chat.answer(fields.parse(request.body), call)

    async def create_completion(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        chat = completions.parse(fields.parse(request.body))
        async with aclosing(self._chat.answer(chat, call, translated=True)) as bodies:
            async for body in bodies:
                if body.whole:
                    yield as_json(completions.completion(orjson.loads(body.data)))
                else:
                    yield replace(body, data=completions.events(body.data))

    async def create_moderation(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        asked = moderations.parse(request.body)
        require(call, f"models.call:{moderations.MODEL}")
        found = await self._pipeline.findings(call, moderations.MODEL, asked.texts, asked.policy)
        yield as_json(moderations.response(asked, found, call.request_id))

    async def create_embedding(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        asked = embeddings.parse(request.body)
        require(call, f"embeddings.call:{embeddings.MODEL}")
        texts = await text_of(asked.inputs)
        vectors, tokens = await self._embedder.embed(embeddings.MODEL, texts, call)
        yield as_json(embeddings.response(vectors, tokens, asked.base64))

    async def create_rerank(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        asked = rerank.parse(request.body)
        require(call, f"embeddings.call:{RERANKER}")
        scores, tokens = await self._reranker.rerank(RERANKER, asked.query, asked.documents, asked.max_tokens, call)
        yield as_json(rerank.response(asked, scores, tokens, call.request_id))

    async def list_models(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        yield as_json(models.listed(await self._models(call)))

    async def get_model(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        asked = request.params["model"]
        listed = {one["id"]: one for one in await self._models(call)}
        name, _, version = asked.rpartition("@")
        model = listed.get(asked)
        if model is None and name in listed and (number := numeral(version, VERSION_DIGITS)):
            model = await self._version(name, number, call)
        if model is None:
            raise ModelNotFound(asked)
        yield as_json(model)

    async def _version(self, name: str, version: int, call: Call) -> Json | None:
        """An agent's version; None where there is none."""
        asked = agent_service_pb2.GetAgentRequest(name=name, version=version)
        try:
            found = await clients.unary(self._agents.GetAgent(asked, **outgoing(call.remaining, call)))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        return models.of_version(name, version, found.agent.description)

    async def _models(self, call: Call) -> list[Json]:
        request = orchestrator_service_pb2.ListModelsRequest()
        answered = await clients.unary(self._orchestrator.ListModels(request, **outgoing(call.remaining, call)))
        bare = [models.of_entry(entry) for entry in self._bare.entries]
        runs = [models.of_run(model) for model in answered.models if not self._bare.named(model.id)]
        return [*runs, *bare, models.EMBEDDER]
