"""The engine over an upstream with OpenAI's chat completions: a hosted API, `vllm serve`, Ollama and the like."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

import orjson

from services.llm import errors
from services.llm.chat import Declaration, Message
from services.llm.client import HttpClient, UpstreamReply
from services.llm.endpoint import ModelEndpoint
from services.llm.generation import Generation, Lost, Piece, Said, Thought
from services.llm.openai import chunks, request
from services.llm.openai.answer import AnswerReader
from services.llm.openai.chunks import Chunk, Json, MalformedChunk, Mend
from services.llm.openai.form import restore
from services.llm.openai.unreadable import written_in
from services.llm.sse import DONE, LONGEST, EventReader, EventTooLong, data_of
from services.llm.time_left import time_left
from services.llm.tokens import estimate_prompt, prompt_texts
from services.runtime.errors import DomainError


class OpenAiEngine:
    """A model of an upstream, over the process's client. It is asked once: who asks again is a route."""

    name = "upstream"

    def __init__(self, client: HttpClient, endpoint: ModelEndpoint) -> None:
        self._client = client
        self.endpoint = endpoint

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        """An estimate: OpenAI's API does not count."""
        return estimate_prompt(prompt_texts(messages, tools))

    def post(
        self, body: bytes, seconds: float, whole: bool = False, on_sent: Callable[[], None] = lambda: None
    ) -> AbstractAsyncContextManager[UpstreamReply]:
        """The upstream's own answer to a body of OpenAI's form, asked once; `on_sent` is called once it may have it.
        Raises DomainErrors."""
        return self._client.post(self.endpoint, body, seconds, whole, on_sent)

    async def generate(self, generation: Generation) -> AsyncGenerator[Said, None]:
        prompt = list(prompt_texts(generation.messages, generation.tools, generation.response_format))
        answer = AnswerReader(self.endpoint.name, prompt, self.endpoint.context_length, generation.reasoning)
        body = orjson.dumps(request.body(generation, self.endpoint.model, self.endpoint.limit_field))
        seconds = time_left(float("inf"))
        async with self._client.post(self.endpoint, body, seconds) as reply:
            if reply.is_json:
                try:
                    found = _taken(self.endpoint, answer, completion(self.endpoint, await reply.whole(LONGEST)))
                except DomainError:
                    yield Lost(written_in(reply.taken))
                    raise
                for said in found:
                    yield said
            else:
                async with aclosing(self._streamed(reply, answer)) as pieces:
                    async for piece in pieces:
                        yield piece
        for last in answer.ended():
            yield last

    async def _streamed(
        self, reply: UpstreamReply, answer: AnswerReader
    ) -> AsyncGenerator[Piece | Thought | Lost, None]:
        """The text. Raises UpstreamBroken where the stream has no end."""
        event = b""
        try:
            async with aclosing(_events(self.endpoint, reply)) as batches:
                async for events in batches:
                    for event in events:
                        if (data := data_of(event)) == DONE:
                            await reply.drain()
                            return
                        if data:
                            for said in _taken(self.endpoint, answer, decode(self.endpoint, event, data)):
                                yield said
                    event = b""
                    reply.progress(answer.chunks, bool(answer.finish))
            if not answer.finish:
                raise errors.broken(self.endpoint, "broke off")
        except DomainError:
            yield Lost(written_in(event))
            raise


async def _events(endpoint: ModelEndpoint, reply: UpstreamReply) -> AsyncGenerator[list[bytes], None]:
    """The events, those of one portion of the answer together; last what stands behind the last empty line. Raises
    UpstreamBroken for one that is too long."""
    reader = EventReader()
    try:
        async with aclosing(reply.portions()) as portions:
            async for portion in portions:
                yield reader.feed(portion)
    except EventTooLong as error:
        raise errors.broken(endpoint, f"has an event of {error}") from error
    yield reader.end()


def decode(endpoint: ModelEndpoint, event: bytes, data: bytes, mend: Mend | None = None) -> Chunk:
    """A chunk of a streamed answer. Raises UpstreamBroken for what is none, and the error that it reports."""
    try:
        chunk = chunks.read(event, data, mend)
    except MalformedChunk as error:
        raise errors.broken(endpoint, str(error)) from error
    if reported := _error_of(chunk.json):
        raise errors.within_stream(endpoint, reported)
    return chunk


def _error_of(said: Json) -> Any:
    """What stands in the place of an answer: as most have it, as older servers of vLLM's do, and as OpenRouter ends a
    choice."""
    if said.get("error"):
        return said["error"]
    if said.get("object") == "error":
        return said
    choices = said.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(first, dict) and isinstance(first.get("error"), dict):
        return first["error"]
    return None


def completion(endpoint: ModelEndpoint, body: bytes, mend: Mend | None = None) -> Chunk:
    """A whole completion. Raises the same."""
    chunk = decode(endpoint, body, body, mend)
    if chunk.empty:
        raise errors.broken(endpoint, "has no choices")
    if restore(chunk.json, whole=True):
        chunk.mended, chunk.raw = True, orjson.dumps(chunk.json)
    return chunk


def _taken(endpoint: ModelEndpoint, answer: AnswerReader, chunk: Chunk) -> Sequence[Piece | Thought]:
    try:
        return answer.take(chunk)
    except MalformedChunk as error:
        raise errors.broken(endpoint, str(error)) from error
