"""The caller's tools in the body of a response, as functions: of any model can be asked what is one.

A function in a namespace has both names in one; a custom tool, whose input is a text, has that as its one argument.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.faces.http.answer_blocks import arguments
from gateway.faces.http.openai import fields
from gateway.faces.http.openai.errors import BadRequest
from services.llm.openai.chunks import Json

INPUT = "input"
_JOINT = "__"
_TEXT: Json = {"type": "object", "properties": {INPUT: {"type": "string"}}, "required": [INPUT]}


@dataclass(frozen=True, slots=True)
class CallersTool:
    """A tool by its own name. `custom`: its input is a text."""

    name: str
    namespace: str = ""
    custom: bool = False


@dataclass(slots=True)
class CallersTools:
    """`functions` as a chat completion has them; `named`: what stands behind the names that are not a tool's own."""

    functions: list[Json] = field(default_factory=list)
    named: dict[str, CallersTool] = field(default_factory=dict)

    def take(self, tool: object, path: str, namespace: str = "") -> None:
        """Take a tool, or all of a namespace. Raises BadRequest."""
        if not isinstance(tool, dict):
            raise BadRequest(f"{path} must be an object", path)
        kind = tool.get("type")
        if kind == "function":
            fields.known(tool, ("type", "name", "description", "parameters", "strict"), f"{path}.")
            self._add(tool, path, CallersTool(fields.text(tool, "name", f"{path}."), namespace), tool.get("parameters"))
        elif kind == "custom":
            fields.known(tool, ("type", "name", "description", "format"), f"{path}.")
            told = {**tool, "description": _described(tool, path)}
            self._add(told, path, CallersTool(fields.text(tool, "name", f"{path}."), namespace, True), _TEXT)
        elif kind == "namespace" and not namespace:
            fields.known(tool, ("type", "name", "description", "tools"), f"{path}.")
            name = fields.text(tool, "name", f"{path}.")
            for place, inner in enumerate(fields.entries(tool, "tools", f"{path}.")):
                self.take(inner, f"{path}.tools[{place}]", name)
        else:
            raise BadRequest(
                f"{path}.type {kind!r} is a tool of OpenAI's own, which is not served here: describe one that you run, "
                "or ask an agent that has such a tool",
                f"{path}.type",
            )

    def _add(self, tool: Json, path: str, made: CallersTool, parameters: Any) -> None:
        name = joined(made.name, made.namespace)
        if made.namespace or made.custom:
            self.named[name] = made
        function: Json = {"name": name, **({} if parameters is None else {"parameters": parameters})}
        function |= {key: tool[key] for key in ("description", "strict") if tool.get(key) is not None}
        self.functions.append({"type": "function", "function": function})


def joined(name: str, namespace: str) -> str:
    """The name of a function for a model."""
    return f"{namespace}{_JOINT}{name}" if namespace else name


def choice(body: Json) -> Json:
    """Which of the tools may or must be called, as fields of a chat completion. Raises BadRequest."""
    made: Json = {}
    if body.get("parallel_tool_calls") is not None:
        made["parallel_tool_calls"] = fields.flag(body, "parallel_tool_calls")
    given = body.get("tool_choice")
    if isinstance(given, dict):
        if given.get("type") not in ("function", "custom"):
            raise BadRequest(f"tool_choice of the type {given.get('type')!r} is not supported here", "tool_choice.type")
        fields.known(given, ("type", "name"), "tool_choice.")
        given = {"type": "function", "function": {"name": fields.text(given, "name", "tool_choice.")}}
    return made | ({} if given is None else {"tool_choice": given})


def written(text: str) -> str:
    """A custom tool's input as the arguments of its function."""
    return orjson.dumps({INPUT: text}).decode()


def read(text: str) -> str:
    """The input that the arguments have; the arguments themselves where a model has written others."""
    given = (arguments(text) or {}).get(INPUT)
    return given if isinstance(given, str) else text


def call_json(id_: str, name: str, text: str, named: Mapping[str, CallersTool]) -> Json:
    """A call by the tool's own name; `text` are its arguments."""
    tool = named.get(name) or CallersTool(name)
    space = {"namespace": tool.namespace} if tool.namespace else {}
    if tool.custom:
        return {
            "type": "custom_tool_call",
            "call_id": id_,
            "name": tool.name,
            "input": read(text) if text else "",
            **space,
        }
    return {"type": "function_call", "call_id": id_, "name": tool.name, "arguments": text, **space}


def _described(tool: Json, path: str) -> str:
    """What it is, with the grammar that its input has to have: no model here is held to it."""
    told = fields.maybe_text(tool, "description", f"{path}.")
    form = fields.mapping(tool, "format", f"{path}.")
    if form.get("type", "text") == "text":
        return told
    definition = fields.text(form, "definition", f"{path}.format.")
    return f"{told}\n\nThe input has to follow this grammar ({form.get('syntax')}):\n{definition}".strip()
