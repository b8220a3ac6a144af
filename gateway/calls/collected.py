"""A streamed completion put together as the whole one that it would have been, for the cache. Pure."""

from collections.abc import Mapping
from typing import Any

from services.llm.openai.chunks import Chunk, Json

# What a message may have to be kept; and what stands beside it in a choice.
TEXTS = frozenset(("content", "refusal", "reasoning_content", "reasoning"))
_MESSAGE = TEXTS | {"role"}
_CHOICE = frozenset(("index", "delta", "finish_reason", "logprobs"))
LONGEST = 4 << 20


class CollectedChunks:
    """The chunks of one answer. One that has anything but texts, such as calls of tools, is not put together."""

    def __init__(self) -> None:
        self._texts: dict[int, dict[str, list[str]]] = {}
        self._ends: dict[int, str] = {}
        self._length = 0
        self._plain = True

    def add(self, chunk: Chunk) -> None:
        """Take the next chunk, as the upstream wrote it."""
        if not self._plain:
            return
        for part in chunk.parts:
            name, index, _ = part.channel
            if name in TEXTS:
                self._texts.setdefault(index, {}).setdefault(name, []).append(part.text)
                self._length += len(part.text)
        for place, choice in enumerate(chunk.json.get("choices") or ()):
            self._plain = self._plain and _is_plain(choice)
            if end := choice.get("finish_reason"):
                self._ends[choice.get("index", place)] = end
        self._plain = self._plain and self._length <= LONGEST

    def completion(self, head: Mapping[str, Any], reason: str, usage: Any) -> Json | None:
        """The whole completion; None where it cannot be had. `reason`: why it ended, where no chunk says so."""
        if not self._plain or not self._texts:
            return None
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": None}
                | {name: "".join(said) for name, said in texts.items()},
                "logprobs": None,
                "finish_reason": self._ends.get(index, reason),
            }
            for index, texts in sorted(self._texts.items())
        ]
        return {**head, "object": "chat.completion", "choices": choices, "usage": usage}


def _is_plain(choice: Mapping[str, Any]) -> bool:
    delta = choice.get("delta") or {}
    beside = any(value for name, value in choice.items() if name not in _CHOICE)
    within = any(value for name, value in delta.items() if name not in _MESSAGE)
    typed = all(value is None or isinstance(value, str) for name, value in delta.items() if name in TEXTS)
    return not (beside or within or choice.get("logprobs")) and typed
