"""The caller's tools, and the form of the answer, in a chat completion's body."""

import re

import orjson
from headworks.orchestrator.v1 import generation_pb2, tool_pb2

from gateway.faces.http.openai import fields
from gateway.faces.http.openai.errors import BadRequest
from services.llm.openai.chunks import Json

MOST_TOOLS = 128
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MODES = {
    "auto": tool_pb2.ToolChoice.MODE_AUTO,
    "none": tool_pb2.ToolChoice.MODE_NONE,
    "required": tool_pb2.ToolChoice.MODE_REQUIRED,
}
_FORMS = {
    "text": generation_pb2.ResponseFormat.KIND_TEXT,
    "json_object": generation_pb2.ResponseFormat.KIND_JSON_OBJECT,
    "json_schema": generation_pb2.ResponseFormat.KIND_JSON_SCHEMA,
}


def parse(body: Json) -> list[tool_pb2.Tool]:
    """The tools that the caller runs itself. Raises BadRequest, naming the field."""
    tools = fields.entries(body, "tools")
    if len(tools) > MOST_TOOLS:
        raise BadRequest(f"tools has {len(tools)} entries; the most is {MOST_TOOLS}", "tools")
    made = [_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]
    seen: set[str] = set()
    for index, tool in enumerate(made):
        if tool.name in seen:
            raise BadRequest(f"there are two tools of the name {tool.name}", f"tools[{index}].function.name")
        seen.add(tool.name)
    return made


def choice(body: Json) -> tool_pb2.ToolChoice | None:
    """Which tools the model may or must call; None where nothing is said of it. Raises BadRequest."""
    value = body.get("tool_choice")
    if value is None:
        return None
    if isinstance(value, str) and value in _MODES:
        return tool_pb2.ToolChoice(mode=_MODES[value])
    if isinstance(value, dict) and value.get("type") == "function":
        fields.known(value, ("type", "function"), "tool_choice.")
        function = fields.mapping(value, "function", "tool_choice.")
        fields.known(function, ("name",), "tool_choice.function.")
        name = fields.text(function, "name", "tool_choice.function.")
        return tool_pb2.ToolChoice(mode=tool_pb2.ToolChoice.MODE_FUNCTION, function=name)
    raise BadRequest(
        f'tool_choice must be one of {", ".join(_MODES)} or {{"type": "function", "function": {{"name": …}}}}',
        "tool_choice",
    )


def response_format(body: Json) -> generation_pb2.ResponseFormat | None:
    """The form of the answer; None where it is left to the agent. Raises BadRequest."""
    if body.get("response_format") is None:
        return None
    value = fields.mapping(body, "response_format")
    kind = value.get("type")
    if not isinstance(kind, str) or kind not in _FORMS:
        raise BadRequest(f"response_format.type must be one of {', '.join(_FORMS)}", "response_format.type")
    fields.known(value, ("type", "json_schema") if kind == "json_schema" else ("type",), "response_format.")
    made = generation_pb2.ResponseFormat(kind=_FORMS[kind])
    if kind == "json_schema":
        path = "response_format.json_schema."
        given = fields.mapping(value, "json_schema", "response_format.")
        made.name = _name(fields.text(given, "name", path), f"{path}name")
        fields.known(given, ("name", "schema", "strict", "description"), path)
        if not isinstance(given.get("schema"), dict):
            raise BadRequest(f"{path}schema must be a JSON schema: an object", f"{path}schema")
        described = fields.maybe_text(given, "description", path)
        schema = {"description": described, **given["schema"]} if described else given["schema"]
        made.schema = orjson.dumps(schema).decode()
        if given.get("strict") is not None:
            made.strict = fields.flag(given, "strict", path)
    return made


def _tool(tool: object, path: str) -> tool_pb2.Tool:
    if not isinstance(tool, dict):
        raise BadRequest(f"{path} must be an object", path)
    if tool.get("type") != "function":
        raise BadRequest(f"{path}.type must be function", f"{path}.type")
    fields.known(tool, ("type", "function", "cache_control"), f"{path}.")
    function = fields.mapping(tool, "function", f"{path}.")
    path = f"{path}.function."
    fields.known(function, ("name", "description", "parameters", "strict", "cache_control"), path)
    parameters = fields.mapping(function, "parameters", path)
    return tool_pb2.Tool(
        name=_name(fields.text(function, "name", path), f"{path}name"),
        description=fields.maybe_text(function, "description", path),
        parameters=orjson.dumps(parameters).decode() if parameters else "",
        strict=None if function.get("strict") is None else fields.flag(function, "strict", path),
    )


def _name(name: str, path: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadRequest(f"{path} must be 1 to 64 letters, digits, '_' and '-'", path)
    return name
