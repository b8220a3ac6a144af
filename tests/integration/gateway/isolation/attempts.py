"""Attempts to reach what is another tenant's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from tests.integration.gateway.isolation.world import World

OK = ""


@dataclass(frozen=True)
class Attempt:
    """A request, or the requests of a stream, and how the call has to end: with this reason, in which "*" stands for
    anything, with OK, or, for None, either way. What comes back holds nothing of the owner's, whatever the end is."""

    requests: Callable[[World], Sequence[Message]]
    ends: str | None
    rank: int = 0  # one that makes something of the same name comes later: it would hide what the others look for


def attempt(request: Callable[[World], Message] | Message, ends: str | None, *, rank: int = 0) -> Attempt:
    if isinstance(request, Message):
        return Attempt(lambda world: [request], ends, rank)
    return Attempt(lambda world: [request(world)], ends, rank)
