"""Anthropic's paths: a message in, a chat completion of any model or agent, a message or its events out."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace

import orjson

from gateway.access.authorize import require
from gateway.access.permissions import run as run_needs
from gateway.calls.pipeline import CallPipeline
from gateway.calls.prompt_use import PromptUse
from gateway.faces.http.anthropic import errors, message_request
from gateway.faces.http.anthropic.message_events import FORM, MessageEvents
from gateway.faces.http.anthropic.message_request import MessageRequest
from gateway.faces.http.anthropic.message_response import message
from gateway.faces.http.message import EVENTS, Body, Request, as_json
from gateway.faces.http.openai import fields
from gateway.faces.http.openai.chat import ChatCompletions
from gateway.faces.http.routes import Route, plain_route
from gateway.guard.turns import Steps
from services.runtime.call import Call


class AnthropicFace:
    """Errors are in Anthropic's form: see gateway.faces.http.error_forms."""

    def __init__(self, chat: ChatCompletions, pipeline: CallPipeline) -> None:
        self._chat = chat
        self._pipeline = pipeline

    def routes(self) -> Iterable[Route]:
        """Of Messages: its batches are none of these."""
        return (
            plain_route("POST", "/v1/messages", self.create_message),
            plain_route("POST", "/v1/messages/count_tokens", self.count_tokens),
        )

    async def create_message(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        asked = await self._read(request, call)
        call.headers |= errors.headers(call.request_id)
        events = MessageEvents(asked)
        async with aclosing(self._chat.answer(asked.chat, call, translated=True)) as bodies:
            async for body in bodies:
                if body.whole:
                    yield as_json(message(orjson.loads(body.data), asked))
                else:
                    yield Body(EVENTS, events.take(body.data), waits_for=body.waits_for, form=FORM)

    async def count_tokens(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        """About how many tokens a model reads that is asked this: no model is."""
        asked = await self._read(request, call, answers=False)
        require(call, *run_needs(asked.model))
        call.headers |= errors.headers(call.request_id)
        entry = self._chat.bare_entry(asked.model)
        await self._pipeline.take(call, entry.name if entry else asked.model)
        body, prompt = await self._chat.with_prompt(asked.chat, call)
        tokens = await self._chat.read(len(request.body), call, _counted(replace(asked, chat=body), prompt))
        yield as_json({"input_tokens": tokens})

    async def _read(self, request: Request, call: Call, answers: bool = True) -> MessageRequest:
        return await self._chat.read(len(request.body), call, self._steps(request.body, answers))

    def _steps(self, data: bytes, answers: bool) -> Steps[MessageRequest]:
        body = fields.parse(data)
        yield
        return message_request.parse(body, self._chat.bare_entry(body.get("model")), answers)


def _counted(asked: MessageRequest, prompt: PromptUse | None) -> Steps[int]:
    yield
    return asked.prompt_tokens(prompt)
