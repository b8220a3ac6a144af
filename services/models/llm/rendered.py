"""Prompts that were counted, rendered: who has a prompt counted asks for its answer next."""

import hashlib
import time
from collections.abc import Callable
from typing import Any

import orjson

MOST = 64
SECONDS = 30.0


class Rendered:
    """Engine inputs by what they were rendered from, of which a digest alone is kept. Each is taken once, as an engine
    may change its input; one that nobody takes is dropped after `seconds`, or where there are more than `most`."""

    def __init__(self, most: int = MOST, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._inputs: dict[bytes, tuple[float, Any]] = {}

    def __len__(self) -> int:
        return len(self._inputs)

    def put(self, key: bytes, inputs: Any) -> None:
        """Keep the inputs for the next to ask for them."""
        self._inputs.pop(key, None)
        self._inputs[key] = self._clock(), inputs
        self._drop()

    def take(self, key: bytes) -> Any | None:
        """The inputs, for this caller alone; None where there are none."""
        self._drop()
        kept = self._inputs.pop(key, None)
        return None if kept is None else kept[1]

    def _drop(self) -> None:
        oldest = self._clock() - self._seconds
        for key, (since, _) in tuple(self._inputs.items()):
            if since > oldest and len(self._inputs) <= self._most:
                return
            del self._inputs[key]


def key_of(*parts: Any) -> bytes:
    """A digest of all that a rendering depends on."""
    data = orjson.dumps(parts, default=repr, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.sha256(data).digest()
