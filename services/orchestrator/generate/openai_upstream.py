"""The generator over an upstream with OpenAI's chat completions: a hosted API, `vllm serve`, Ollama and the like."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpx
import orjson

from services.orchestrator.conversation import Message
from services.orchestrator.generate import openai_form, upstream_errors
from services.orchestrator.generate.entry import Entry
from services.orchestrator.generate.generator import Calls, Ended, Generation, Piece
from services.orchestrator.generate.metrics import ModelMetrics
from services.orchestrator.generate.sse import LONGEST, EventReader, EventTooLong
from services.orchestrator.generate.time_left import time_left, within
from services.orchestrator.generate.upstream_answer import CHARACTERS_PER_TOKEN, Answer, Malformed
from services.orchestrator.tools.tool import Declaration
from services.runtime.errors import DomainError
from services.runtime.upstreams import UpstreamBroken, UpstreamTimeout, UpstreamUnavailable, secrets_of

ATTEMPTS = 3
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
KEPT_SECONDS = 30.0
DRAIN_SECONDS = 0.1
ERROR_BYTES = 64 << 10
DONE = b"[DONE]"


class OpenAiUpstream:
    """A model of an upstream, over a pool of connections that the generator owns: close it with `aclose`."""

    name = "upstream"

    def __init__(self, entry: Entry, key: str, metrics: ModelMetrics) -> None:
        self._entry = entry
        self._metrics = metrics
        self._url = f"{entry.base_url.rstrip('/')}/chat/completions"
        headers = {"content-type": "application/json", "accept": "text/event-stream", "accept-encoding": "identity"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        self._secrets = secrets_of(self._url, headers)
        self._client = httpx.AsyncClient(
            headers=headers,
            limits=httpx.Limits(
                max_connections=entry.connections,
                max_keepalive_connections=entry.connections,
                keepalive_expiry=KEPT_SECONDS,
            ),
            # Reading has limits of its own: how long the first byte may take, and how long each after it.
            timeout=httpx.Timeout(None, connect=entry.connect_seconds),
        )
        # What an upstream sets for one caller is not sent for the next.
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))

    async def aclose(self) -> None:
        await self._client.aclose()

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        """An estimate: OpenAI's API does not count."""
        return _estimate(openai_form.messages(messages), openai_form.tools(tools))

    async def generate(self, generation: Generation) -> AsyncGenerator[Piece | Calls | Ended, None]:
        async with (
            aclosing(self._answered(generation)) as pieces,
            aclosing(within(self._entry.timeout, self._entry.name, pieces)) as in_time,
        ):
            async for piece in in_time:
                yield piece

    async def _answered(self, generation: Generation) -> AsyncGenerator[Piece | Calls | Ended, None]:
        body = self._body(generation)
        characters = sum(len(message.content) for message in generation.messages)
        answer = Answer(_estimate(body["messages"], body.get("tools", [])), characters)
        async with self._opened(orjson.dumps(body)) as response:
            if "json" in response.headers.get("content-type", ""):
                whole = self._take(answer, await self._whole(response))
                if whole is not None:
                    yield whole
            else:
                async with aclosing(self._streamed(response, answer)) as pieces:
                    async for piece in pieces:
                        yield piece
        for last in answer.ended():
            yield last

    async def _streamed(self, response: httpx.Response, answer: Answer) -> AsyncGenerator[Piece, None]:
        """The text. Raises UpstreamBroken where the stream has no end."""
        async with aclosing(self._events(response)) as events:
            async for event in events:
                if event == DONE:
                    return
                piece = self._take(answer, event)
                if piece is not None:
                    yield piece
        if not answer.finish:
            raise self._broken("broke off")

    async def _drain(self, portions: AsyncIterator[bytes]) -> None:
        """Read on to the end, which is near: only so can the connection be used again."""
        with suppress(UpstreamTimeout, UpstreamBroken):
            while await self._portion(portions, DRAIN_SECONDS) is not None:
                pass

    def _take(self, answer: Answer, event: bytes) -> Piece | None:
        try:
            chunk = orjson.loads(event)
            if not isinstance(chunk, dict):
                raise Malformed("a chunk is no object")  # noqa: TRY301 (one place says what this means)
            if chunk.get("error"):
                raise upstream_errors.told(self._entry, chunk["error"], self._secrets)
            return answer.take(chunk)
        except (orjson.JSONDecodeError, Malformed) as error:
            raise self._broken("is not in OpenAI's form") from error

    async def _events(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        if "html" in response.headers.get("content-type", ""):
            raise self._broken("is a page of HTML: look at its base_url")
        reader = EventReader()
        portions = response.aiter_bytes()
        limit = self._entry.first_byte_seconds
        try:
            while (portion := await self._portion(portions, limit)) is not None:
                limit = self._entry.idle_seconds
                for event in reader.feed(portion):
                    if event == DONE:
                        await self._drain(portions)
                        yield event
                        return
                    yield event
            for event in reader.end():
                yield event
        except EventTooLong as error:
            raise self._broken(f"has an event of {error}") from error

    async def _portion(self, portions: AsyncIterator[bytes], limit: float) -> bytes | None:
        """The next bytes, within `limit` seconds; None at the end."""
        try:
            async with asyncio.timeout(limit):
                return await anext(portions, None)
        except TimeoutError as error:
            raise UpstreamTimeout(f"{self._who} was silent for {limit:g} seconds") from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise self._broken("broke off") from error

    async def _whole(self, response: httpx.Response) -> bytes:
        body = await self._at_most(response, LONGEST)
        if body is None:
            raise self._broken(f"has more than {LONGEST} bytes")
        return body

    async def _at_most(self, response: httpx.Response, limit: int) -> bytes | None:
        body = b""
        portions = response.aiter_bytes()
        while (portion := await self._portion(portions, self._entry.first_byte_seconds)) is not None:
            body += portion
            if len(body) > limit:
                return None
        return body

    @asynccontextmanager
    async def _opened(self, body: bytes) -> AsyncIterator[httpx.Response]:
        """An answer that has begun well. What may pass is tried again, as long as nothing has come."""
        pause = FIRST_PAUSE
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = await self._send(body)
                break
            except UpstreamUnavailable as error:
                wait = max(pause * random.uniform(0.5, 1), error.retry_after or 0)  # noqa: S311 (spreads retries)
                if attempt == ATTEMPTS or wait > LONGEST_PAUSE or wait >= time_left(self._entry.timeout):
                    raise
            self._metrics.retries.inc()
            await asyncio.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE)
        try:
            yield response
        finally:
            await response.aclose()

    async def _send(self, body: bytes) -> httpx.Response:
        """Raises DomainError for an answer that is none."""
        time_left(self._entry.timeout)
        try:
            request = self._client.build_request("POST", self._url, content=body)
            async with asyncio.timeout(self._entry.connect_seconds + self._entry.first_byte_seconds):
                response = await self._client.send(request, stream=True)
        except TimeoutError as error:
            raise UpstreamTimeout(f"{self._who} did not begin to answer") from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise UpstreamUnavailable(f"{self._who} cannot be reached") from error
        if response.status_code == httpx.codes.OK:
            return response
        try:
            said = await self._at_most(response, ERROR_BYTES) or b""
        except DomainError:
            said = b""
        finally:
            await response.aclose()
        raise upstream_errors.answered(self._entry, response.status_code, response.headers, said, self._secrets)

    def _body(self, generation: Generation) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._entry.model,
            "messages": openai_form.messages(generation.messages),
            "stream": True,
            "stream_options": {"include_usage": True},
            **openai_form.sampling(generation.sampling),
        }
        if generation.tools:
            body["tools"] = openai_form.tools(generation.tools)
            body["tool_choice"] = openai_form.tool_choice(generation.tool_choice)
            if generation.serial_tool_calls:
                body["parallel_tool_calls"] = False
        form = openai_form.response_format(generation.response_format)
        if form["type"] != "text":
            body["response_format"] = form
        if generation.confidence:
            body["logprobs"] = True
        return body

    @property
    def _who(self) -> str:
        return f"the upstream of the model {self._entry.name!r}"

    def _broken(self, how: str) -> UpstreamBroken:
        return UpstreamBroken(f"the answer of {self._who} {how}")


def _estimate(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> int:
    return -(-len(orjson.dumps([messages, tools] if tools else messages)) // CHARACTERS_PER_TOKEN)
