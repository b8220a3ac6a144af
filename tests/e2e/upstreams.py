"""An upstream for a mesh's models, which does what it is told in the last message."""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fakes.openai_upstream import Exchange, FakeOpenAi, calls, delta, event, fails, streams, usage

PROMPT_TOKENS = 10
PAUSE = 0.01


async def obey(exchange: Exchange) -> None:
    """Told "say TEXT", it answers with TEXT, three characters a piece; told "count N", with N words, one each
    hundredth of a second; told "fail STATUS TEXT", with that error. Each piece is a token, and each prompt has
    PROMPT_TOKENS. Told "call TOOL ARGUMENTS", it calls that tool, and then answers with what the tool gave."""
    last = exchange.body["messages"][-1]
    verb, _, rest = str(last["content"]).partition(" ")
    if last["role"] == "tool":
        verb, rest = "say", str(last["content"])
    if verb == "call":
        name, _, arguments = rest.partition(" ")
        await streams(calls((name, arguments)), usage(PROMPT_TOKENS, 1))(exchange)
        return
    if verb == "fail":
        status, _, text = rest.partition(" ")
        await fails(int(status), f"no good: {text}")(exchange)
        return
    said = ["word "] * int(rest) if verb == "count" else [rest[at : at + 3] for at in range(0, len(rest), 3)]
    if exchange.body.get("stream"):
        await _stream(exchange, said, PAUSE if verb == "count" else 0)
    else:
        await exchange.head(kind="application/json")
        await exchange.send(json.dumps(_whole("".join(said), len(said))).encode())
        await exchange.end()


async def _stream(exchange: Exchange, said: Sequence[str], pause: float) -> None:
    await exchange.head()
    for piece in said:
        await exchange.send(event(delta(content=piece)))
        await asyncio.sleep(pause)
    for last in (delta("stop"), usage(PROMPT_TOKENS, len(said)), "[DONE]"):
        await exchange.send(event(last))
    await exchange.end()


def _whole(text: str, tokens: int) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "upstream"}
    return {**head, "choices": [choice], "usage": usage(PROMPT_TOKENS, tokens)["usage"]}


@contextmanager
def obeying() -> Iterator[FakeOpenAi]:
    """The upstream, in a thread of its own."""
    upstream, ready, loop = FakeOpenAi(obey), threading.Event(), asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with upstream.serving():
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(60)
        yield upstream
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()


def upstreams_file(path: Path, url: str, *models: str) -> Path:
    """Of models that the gateway passes on. Each answer is expected to have 16 tokens, which cost 2 a million."""
    fields = {"base_url": url, "input_price": 1, "output_price": 2, "answer_tokens": 16}
    path.write_text(json.dumps({"models": dict.fromkeys(models, fields)}))
    return path


def catalogue_file(path: Path, url: str, *models: str) -> Path:
    """Of models that are asked in runs, at the same price."""
    fields: dict[str, Any] = {"generator": "openai", "base_url": url, "price": {"input": 1, "output": 2}}
    path.write_text(json.dumps({"models": [{"name": name, **fields} for name in models]}))
    return path
