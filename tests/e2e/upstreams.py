"""An upstream for a mesh's models, which does what it is told in the last message."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fakes.openai_upstream import Exchange, FakeOpenAi, delta, event, usage

PROMPT_TOKENS = 10
PAUSE = 0.01


async def obey(exchange: Exchange) -> None:
    """Told "say TEXT", it answers with TEXT, three characters a piece; told "count N", with N words, one each
    hundredth of a second. Each piece is a token, and each prompt has PROMPT_TOKENS."""
    said = list(_pieces(str(exchange.body["messages"][-1]["content"])))
    if not exchange.body.get("stream"):
        counted = usage(PROMPT_TOKENS, len(said))["usage"]
        message = {"role": "assistant", "content": "".join(said)}
        whole = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "upstream", "usage": counted}
        await exchange.head(kind="application/json")
        answer = whole | {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        await exchange.send(json.dumps(answer).encode())
    else:
        await exchange.head()
        for piece in said:
            await exchange.send(event(delta(content=piece)))
            await asyncio.sleep(PAUSE if piece == "word " else 0)
        for last in (delta("stop"), usage(PROMPT_TOKENS, len(said)), "[DONE]"):
            await exchange.send(event(last))
    await exchange.end()


def _pieces(told: str) -> Iterator[str]:
    verb, _, rest = told.partition(" ")
    if verb == "count":
        for _ in range(int(rest)):
            yield "word "
    for at in range(0, len(rest) if verb == "say" else 0, 3):
        yield rest[at : at + 3]


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
        assert ready.wait(10)
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
