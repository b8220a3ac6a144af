"""The caller's tools, and the form of the answer, in the body of a message to a chat completion's."""

from gateway.faces.http.openai import fields
from gateway.faces.http.openai.errors import BadRequest
from gateway.faces.http.openai.parts import marked
from services.llm.openai.chunks import Json

# What is not named `description` and the like bears on Anthropic's cache, or on how fast a call's arguments come.
_KNOWN = ("type", "name", "description", "input_schema", "strict", "cache_control", "eager_input_streaming")
_MODES = {"auto": "auto", "any": "required", "none": "none"}
_DIRECT = ["direct"]


def parse(body: Json) -> list[Json]:
    """The tools that the caller runs. Raises BadRequest, naming the field."""
    return [_tool(tool, f"tools[{place}]") for place, tool in enumerate(fields.entries(body, "tools"))]


def choice(body: Json) -> Json:
    """Which of them may or must be called, as fields of a chat completion. Raises BadRequest."""
    given = fields.mapping(body, "tool_choice")
    if not given:
        return {}
    kind, made = given.get("type"), Json()
    if isinstance(kind, str) and kind in _MODES:
        made["tool_choice"] = _MODES[kind]
    elif kind == "tool":
        name = fields.text(given, "name", "tool_choice.")
        made["tool_choice"] = {"type": "function", "function": {"name": name}}
    else:
        raise BadRequest(f"tool_choice.type must be one of {', '.join((*_MODES, 'tool'))}", "tool_choice.type")
    fields.known(given, ("type", "name", "disable_parallel_tool_use"), "tool_choice.")
    if fields.flag(given, "disable_parallel_tool_use", "tool_choice."):
        made["parallel_tool_calls"] = False
    return made


def answer_form(body: Json) -> Json:
    """The JSON schema that the answer has to have, as a field of a chat completion: of output_config.format, or of
    output_format as earlier clients write it. Raises BadRequest."""
    config = fields.mapping(body, "output_config")
    fields.known(config, ("format", "effort"), "output_config.")
    given, path = fields.mapping(config, "format", "output_config."), "output_config.format"
    if not given:
        given, path = fields.mapping(body, "output_format"), "output_format"
    if not given:
        return {}
    fields.known(given, ("type", "schema"), f"{path}.")
    if given.get("type") != "json_schema" or not isinstance(given.get("schema"), dict):
        raise BadRequest(f'{path} must be {{"type": "json_schema", "schema": {{…}}}}', path)
    schema = {"name": "answer", "schema": given["schema"], "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _tool(tool: object, path: str) -> Json:
    if not isinstance(tool, dict):
        raise BadRequest(f"{path} must be an object", path)
    if tool.get("type") not in (None, "custom"):
        raise BadRequest(
            f"{path}.type {tool['type']!r} is a tool of Anthropic's own, which is not served here: describe one that "
            "you run by its name, description and input_schema, or ask an agent that has such a tool",
            f"{path}.type",
        )
    if tool.get("allowed_callers") == _DIRECT:
        tool = {name: value for name, value in tool.items() if name != "allowed_callers"}
    fields.known(tool, _KNOWN, f"{path}.")
    schema = tool.get("input_schema")
    if not isinstance(schema, dict):
        raise BadRequest(f"{path}.input_schema must be a JSON schema: an object", f"{path}.input_schema")
    function: Json = {"name": fields.text(tool, "name", f"{path}."), "parameters": schema}
    if described := fields.maybe_text(tool, "description", f"{path}."):
        function["description"] = described
    if tool.get("strict") is not None:
        function["strict"] = fields.flag(tool, "strict", f"{path}.")
    return marked({"type": "function", "function": function}, tool)
