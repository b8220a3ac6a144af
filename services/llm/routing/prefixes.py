"""Which prompts each target was sent lately, by chains of hashes: a server that keeps what it has computed of a prompt
answers another one that begins the same way sooner. Pure.

Nothing is asked of the servers and no text is kept: what a target has is guessed from what it was sent.
"""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

BLOCK = 256
"""Bytes that are compared at once: some sixty tokens."""
LONGEST = 1024 * BLOCK
"""How much of a prompt is compared: some 64,000 tokens."""
HEAD = 4 * BLOCK
"""By so much of a prompt that nobody was sent before, processes that know nothing of one another choose the same
target."""
LEAST_SHARE = 0.25
"""A prompt that shares less than this counts as new."""
KEPT = 16_384
"""Blocks that are remembered of a target: some million tokens, at 200 bytes each."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prompt as it is compared: each of its whole `blocks` as a hash of it and of all before it, and its `head`."""

    blocks: Sequence[int]
    head: bytes = b""

    @property
    def least(self) -> int:
        """Blocks that another prompt has to share with this one for it to matter."""
        return math.ceil(len(self.blocks) * LEAST_SHARE)

    def distance(self, target: str, weight: int) -> float:
        """How far a target of this name is: the same in every process, and the nearest as often as its weight says."""
        digest = hashlib.blake2b(target.encode() + b"\0" + self.head, digest_size=8).digest()
        return -math.log((int.from_bytes(digest) + 1) / 2**64) / weight


NONE = Prefix(())


def reading_order(messages: Sequence[Any], tools: Iterable[Any], instructed: bool) -> Iterator[bytes]:
    """A prompt in the order in which most chat templates write it: instructions, tools, conversation. `instructed`: the
    first message has instructions."""
    first = 1 if instructed else 0
    for one in (*messages[:first], *tools, *messages[first:]):
        yield orjson.dumps(one, default=_plain)


def prefix_of(prompt: Iterable[bytes]) -> Prefix:
    """Of a prompt in parts, of which only those are taken that are compared."""
    gathered = bytearray()
    for part in prompt:
        gathered += part
        if len(gathered) >= LONGEST:
            break
    data = bytes(gathered[:LONGEST])
    blocks: list[int] = []
    last = 0
    for end in range(BLOCK, len(data) + 1, BLOCK):
        last = hash((last, data[end - BLOCK : end]))
        blocks.append(last)
    return Prefix(blocks, data[: min(HEAD, len(blocks) * BLOCK)])


class SentPrefixes:
    """What a target was sent: the `most` blocks that came last."""

    def __init__(self, most: int = KEPT) -> None:
        self._most = most
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._blocks)

    def shared(self, blocks: Sequence[int]) -> int:
        """How many of the blocks, from the first on, the target was sent."""
        known = self._blocks
        for count, block in enumerate(blocks):
            if block not in known:
                return count
        return len(blocks)

    def add(self, blocks: Sequence[int]) -> None:
        """The target is sent them. Of a prompt the end is forgotten first: without its beginning it is of no use."""
        known = self._blocks
        for block in reversed(blocks):
            known[block] = None
            known.move_to_end(block)
        while len(known) > self._most:
            known.popitem(last=False)

    def clear(self) -> None:
        """The target may have lost what it had."""
        self._blocks.clear()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError
