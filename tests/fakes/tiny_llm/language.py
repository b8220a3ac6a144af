"""What a scenario is made of: messages with $placeholders, and how their values are drawn."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from string import Template
from typing import Any, TypeAlias

# How often a sample is the example itself, which is to come out right whatever else does.
EXAMPLES = 0.3
# A message as in OpenAI's API.
Message: TypeAlias = dict[str, Any]
Values: TypeAlias = Mapping[str, str]


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def system(text: str) -> Message:
    return {"role": "system", "content": text}


def says(text: str) -> Message:
    """The assistant answers."""
    return {"role": "assistant", "content": text}


def calls(*called: tuple[str, Mapping[str, Any]]) -> Message:
    """The assistant calls tools, all in one step."""
    functions = [{"name": name, "arguments": json.dumps(arguments)} for name, arguments in called]
    ids = (f"call_{number}" for number in range(len(called)))
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": each, "type": "function", "function": one} for each, one in zip(ids, functions, strict=True)
        ],
    }


def result(text: str) -> Message:
    """A tool answers."""
    return {"role": "tool", "content": text}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A conversation to learn. Every assistant message in it must come out exactly, given all that stands before.

    `places` are those of the mesh where it is met; `anywhere`: and with nothing before it, or with what is drawn at
    random. `tools` are the ones that it is met with anywhere. `draw` makes the values of the placeholders; without it
    there are none. `examples` hold the values that the check of a new checkpoint uses. `share` is how often the
    scenario is seen in training, relative to the others.
    """

    name: str
    messages: Sequence[Message]
    places: Sequence[str] = ()
    tools: Sequence[str] = ()
    draw: Callable[[Random], Values] | None = None
    examples: Sequence[Values] = ({},)
    share: float = 1.0
    anywhere: bool = True

    def filled(self, values: Values) -> list[Message]:
        """The messages with `values` in the place of their placeholders."""
        return [_filled(message, values) for message in self.messages]

    def drawn(self, random: Random) -> list[Message]:
        """The messages with values as `draw` makes them, or now and then with an example's."""
        if self.draw is not None and random.random() > EXAMPLES:
            return self.filled(self.draw(random))
        return self.filled(random.choice(self.examples))


def _filled(value: Any, values: Values) -> Any:
    match value:
        case str():
            return Template(value).substitute(values)
        case dict():
            return {key: _filled(each, values) for key, each in value.items()}
        case list():
            return [_filled(each, values) for each in value]
    return value
