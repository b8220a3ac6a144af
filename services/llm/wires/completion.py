"""An answer in OpenAI's form, as it is put together from another wire's: chunks of a stream, or whole."""

import secrets
import time
from collections.abc import Sequence
from typing import Any

import orjson

from services.llm.wires.wire import event


class Completion:
    """One answer of a `model`. Its id is made up, unless the wire tells one."""

    def __init__(self, model: str) -> None:
        self.id = f"chatcmpl-{secrets.token_hex(12)}"
        self._head = {"created": int(time.time()), "model": model}

    def delta(self, **delta: Any) -> bytes:
        """The event of what has been added."""
        return self._chunk([{"index": 0, "delta": delta, "finish_reason": None}])

    def finish(self, reason: str) -> bytes:
        return self._chunk([{"index": 0, "delta": {}, "finish_reason": reason}])

    def usage(self, usage: dict[str, Any]) -> bytes:
        return self._chunk([], usage=usage)

    def whole(
        self, text: str, thought: str, calls: Sequence[dict[str, Any]], finish: str, usage: dict[str, Any]
    ) -> bytes:
        """The answer at once. `calls`: see call."""
        message: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
        message |= ({"reasoning_content": thought} if thought else {}) | ({"tool_calls": calls} if calls else {})
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return orjson.dumps(
            {"id": self.id, "object": "chat.completion", **self._head, "choices": [choice], "usage": usage}
        )

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        return event({"id": self.id, "object": "chat.completion.chunk", **self._head, "choices": choices, **more})


def call(identifier: Any, name: Any, arguments: str) -> dict[str, Any]:
    """A call of a tool; in a stream it has its `index` beside."""
    return {"id": identifier or "", "type": "function", "function": {"name": name or "", "arguments": arguments}}


def arguments(given: Any) -> str:
    """Of a wire that has them as an object."""
    return orjson.dumps(given or {}).decode()


def usage(prompt: int, written: int, cached: int = 0, kept: int = 0) -> dict[str, Any]:
    """`prompt`: all of it, what came from the provider's cache (`cached`) and was put into it (`kept`) too."""
    return {
        "prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": cached, **({"cache_write_tokens": kept} if kept else {})},
    }  # fmt: skip
