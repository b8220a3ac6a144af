"""A run's events, and what it was asked, as bytes for its record."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, get_args

import orjson
from pydantic import TypeAdapter

from services.llm.chat import Message
from services.orchestrator.domain.event import Body, Event
from services.orchestrator.runs.agent import RunInput

_KINDS: dict[str, TypeAdapter[Any]] = {kind.__name__: TypeAdapter(kind) for kind in get_args(Body)}
T = TypeVar("T")
# Bytes that are decoded on the event loop: a millisecond or so.
LARGE = 32_768
_ASK = TypeAdapter(RunInput)
_MESSAGE = TypeAdapter(Message)


def encode(events: Iterable[Event]) -> bytes:
    """JSON: a list of [sequence, time, kind, fields]. TypeError for what JSON cannot hold."""
    return orjson.dumps([(event.sequence, event.time, type(event.body).__name__, event.body) for event in events])


def decode(data: bytes) -> list[Event]:
    """What `encode` made. ValueError for anything else."""
    return [Event(sequence, _body(kind, fields), time) for sequence, time, kind, fields in orjson.loads(data)]


def _body(kind: str, fields: dict[str, Any]) -> Body:
    adapter = _KINDS.get(kind)
    if adapter is None:
        raise ValueError(f"unknown kind of event {kind!r}")
    body: Body = adapter.validate_python(fields)
    return body


def encode_ask(ask: RunInput) -> bytes:
    return orjson.dumps(ask)


def decode_ask(data: bytes) -> RunInput:
    """What `encode_ask` made. ValueError for anything else."""
    return _ASK.validate_json(data)


def encode_message(message: Message) -> bytes:
    return orjson.dumps(message)


def decode_message(data: bytes) -> Message:
    """What `encode_message` made. ValueError for anything else."""
    return _MESSAGE.validate_json(data)


async def decode_all(decoder: Callable[[Sequence[bytes]], T], rows: Sequence[bytes]) -> T:
    """What the decoder makes of the rows; in a thread where they are large, so that nobody else waits."""
    if sum(map(len, rows)) <= LARGE:
        return decoder(rows)
    return await asyncio.to_thread(decoder, rows)


def decode_messages(rows: Sequence[bytes]) -> list[Message]:
    return [decode_message(data) for data in rows]
