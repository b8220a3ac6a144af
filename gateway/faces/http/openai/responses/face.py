"""POST /v1/responses: a response in, a chat completion of any model or agent, a response or its events out."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace

import grpc
import orjson

from gateway.faces.http.message import EVENTS, Body, Request, as_json
from gateway.faces.http.openai import fields
from gateway.faces.http.openai.chat import ChatCompletions
from gateway.faces.http.openai.responses import response_request
from gateway.faces.http.openai.responses.response_events import ResponseEvents
from gateway.faces.http.openai.responses.response_json import whole
from gateway.faces.http.openai.responses.response_request import ResponseRequest
from gateway.faces.http.openai.responses.stored import PreviousResponseNotFound, StoredResponses
from gateway.faces.http.routes import Route, plain_route
from gateway.guard.turns import Steps
from services.runtime.call import Call


class ResponsesFace:
    """An error in mid-stream ends the response as failed."""

    def __init__(self, chat: ChatCompletions, orchestrator: grpc.aio.Channel) -> None:
        self._chat = chat
        self._stored = StoredResponses(orchestrator)

    def routes(self) -> Iterable[Route]:
        """Responses that were given are not shown again: runs are."""
        return (plain_route("POST", "/v1/responses", self.create_response),)

    async def create_response(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        asked = await self._asked(request, call)
        events = ResponseEvents(asked)
        async with aclosing(self._chat.answer(asked.chat, call, translated=True)) as bodies:
            async for body in bodies:
                if body.whole:
                    yield as_json(whole(orjson.loads(body.data), asked))
                else:
                    yield Body(EVENTS, events.take(body.data), waits_for=body.waits_for, form=events.form)

    async def _asked(self, request: Request, call: Call) -> ResponseRequest:
        asked = await self._chat.read(len(request.body), call, _steps(request.body))
        entry = self._chat.bare_entry(asked.model)
        if entry is None:
            return await self._stored.placed(asked, call)
        if asked.previous or asked.session_id:
            raise PreviousResponseNotFound(
                f"of the model {entry.name!r} nothing is stored: send the whole conversation as input, or ask an agent",
                "previous_response_id" if asked.previous else "conversation",
            )
        return replace(asked, store=False)


def _steps(data: bytes) -> Steps[ResponseRequest]:
    body = fields.parse(data)
    yield
    return response_request.parse(body)
