"""Which call of tools a part of an answer belongs to, whatever an upstream makes of indexes and ids. Pure."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from services.llm.openai.chunks import Json, MalformedChunk

MOST_CALLS, LONGEST_CALLS, LONGEST_ID = 1024, 4 << 20, 256
NO_ARGUMENTS = "{}"
"""Of a call whose model has written none."""


@dataclass(slots=True)
class StreamedCall:
    """A call as far as it has come. `index` is its place among the calls of its choice, in the order in which they
    begin; `id` is empty where the upstream gives none."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    repeated: bool = False
    """Whether the last part had the name again, as some upstreams have it in every part."""

    def add(self, name: str, arguments: str) -> None:
        self.repeated = bool(name) and name == self.name
        self.name += "" if self.repeated else name
        self.arguments += arguments

    @property
    def complete(self) -> bool:
        """Whether its arguments are all there."""
        if not self.arguments.rstrip().endswith("}"):
            return False
        try:
            orjson.loads(self.arguments)
        except orjson.JSONDecodeError:
            return False
        return True


class CallSorter:
    """Sorts the parts of one choice's calls. A call begins with a part that has a name: of another id, at another
    index, or after a call that is complete. So calls stay apart that come whole and all have one index, or no id."""

    def __init__(self) -> None:
        self.calls: list[StreamedCall] = []
        self._at: dict[int, StreamedCall] = {}
        self._ids: dict[str, StreamedCall] = {}
        self._size = 0

    def add(self, part: Mapping[str, Any], place: int) -> StreamedCall:
        """Take the part at this `place` of its chunk. Returns the call, grown by it. Raises MalformedChunk."""
        function = part.get("function") or {}
        if not isinstance(function, Mapping):
            raise MalformedChunk("is not in OpenAI's form")
        given, index = str(part.get("id") or "").strip()[:LONGEST_ID], _index(part)
        name, arguments = _text(function.get("name")), _text(function.get("arguments"))
        call = self._ids.get(given) or self._last if index is None else self._at.get(index)
        if call is None or (name and call.name and _begins(call, given, name, arguments, place)):
            call = self._begin(given, index)
        call.add(name, arguments)
        self._size += len(name) + len(arguments)
        if len(self.calls) > MOST_CALLS or self._size > LONGEST_CALLS:
            raise MalformedChunk("has more calls than any model makes")
        return call

    @property
    def _last(self) -> StreamedCall | None:
        return self.calls[-1] if self.calls else None

    def _begin(self, given: str, index: int | None) -> StreamedCall:
        call = StreamedCall(len(self.calls), given)
        self.calls.append(call)
        if index is not None:
            self._at[index] = call
        if given:
            self._ids[given] = call
        return call


class CallNumbers:
    """Numbers the calls in a stream's chunks as OpenAI does, so that a client who goes by the index keeps them apart,
    and gives ids to those that have none. `streamed`: they come in chunks, and not in one message."""

    def __init__(self, streamed: bool = True) -> None:
        self._streamed = streamed
        self._sorters: dict[int, CallSorter] = {}

    @property
    def made(self) -> bool:
        """Whether there was any call."""
        return bool(self._sorters)

    def of(self, choice: int) -> Sequence[StreamedCall]:
        """Those that a choice has made in its stream."""
        sorter = self._sorters.get(choice)
        return sorter.calls if sorter else ()

    def lacking(self, choice: int) -> list[Json]:
        """The arguments, as parts of a chunk, of the calls in a choice that has ended that have none: clients read
        them as JSON."""
        without = [call for call in self.of(choice) if call.name and not call.arguments.strip()]
        for call in without:
            call.arguments = NO_ARGUMENTS
        return [{"index": call.index, "function": {"arguments": NO_ARGUMENTS}} for call in without]

    def mend(self, choice: Json) -> bool:
        """Number the calls in a choice; whether that changed it. Raises MalformedChunk."""
        calls = _calls_of(choice.get("delta")) or _calls_of(choice.get("message"))
        if not self._streamed or not calls:
            return _identify(calls)
        index = choice.get("index")
        sorter = self._sorters.setdefault(index if isinstance(index, int) else 0, CallSorter())
        changed = [_number(sorter, part, place) for place, part in enumerate(calls)]
        return any(changed)


def _calls_of(message: Any) -> list[Json]:
    """The calls in a message, of which some upstreams give one without its list."""
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    return [one for one in (calls if isinstance(calls, list) else [calls]) if isinstance(one, dict)]


def _identify(calls: list[Json]) -> bool:
    """Give what they lack to the calls of a whole message; whether there were such."""
    changed = False
    for call in calls:
        if not isinstance(call.get("id"), str) or not call["id"].strip():
            call["id"], changed = new_id(), True
        changed = _set_type(call) or changed
        function = call.get("function")
        if isinstance(function, dict) and function.get("arguments") in (None, ""):
            function["arguments"], changed = NO_ARGUMENTS, True
    return changed


def _set_type(call: Json) -> bool:
    """Say that a call is of a function, where it does not say so."""
    if isinstance(call.get("type"), str) or not isinstance(call.get("function"), dict):
        return False
    call["type"] = "function"
    return True


def _number(sorter: CallSorter, part: Json, place: int) -> bool:
    """Clients append an id or a name that comes again to the one before."""
    before = len(sorter.calls)
    call = sorter.add(part, place)
    changed = part.get("index") != call.index
    part["index"] = call.index
    if not isinstance(part.get("function"), dict) and "custom" not in part:
        part["function"], changed = {}, True
    if len(sorter.calls) > before:
        changed = _set_type(part) or changed
        function = part.get("function")
        if isinstance(function, dict) and function.get("arguments") is None:
            function["arguments"], changed = "", True
        if part.get("id") == call.id != "":
            return changed
        part["id"] = call.id or new_id()
        return True
    if part.pop("id", None) is not None:
        changed = True
    if call.repeated:
        del part["function"]["name"]
        changed = True
    return changed


def _begins(call: StreamedCall, given: str, name: str, arguments: str, place: int) -> bool:
    """Whether a part with a name begins a call after this one, rather than repeat its name or go on with it."""
    if given and call.id and given != call.id:
        return True
    if call.complete:
        return bool(arguments) or name != call.name
    return name != call.name and (bool(call.arguments) or place > 0)


def _index(part: Mapping[str, Any]) -> int | None:
    index = part.get("index")
    return index if isinstance(index, int) and not isinstance(index, bool) else None


def _text(value: Any) -> str:
    """Arguments may come as the object that they are of."""
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def new_id() -> str:
    """For a call whose upstream gives none."""
    return f"call_{uuid.uuid4().hex[:24]}"
