"""What a run is to answer, from protobuf. Pure. All that is malformed raises InvalidArgument, which names the field."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from headworks.orchestrator.v1 import generation_pb2, run_pb2, tool_pb2
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.retrieval.v1 import retrieval_service_pb2 as retrieval_pb

from services.llm.chat import (
    Choice,
    Form,
    Message,
    Priority,
    ResponseFormat,
    Role,
    Sampling,
    ToolChoice,
)
from services.llm.tokens import NO_PARAMETERS
from services.orchestrator.beside import taken
from services.orchestrator.domain.document_filter import ALL, Condition, DocumentFilter, NumberRange
from services.orchestrator.domain.event import ApprovalDecided
from services.orchestrator.domain.tool import NAME, Declaration, ToolCall
from services.orchestrator.runs.agent import RunInput
from services.orchestrator.runs.records import RunFilter
from services.orchestrator.runs.run import RunState
from services.runtime.errors import InvalidArgument
from services.runtime.labels import is_field

MOST_MESSAGES = 10_000
MOST_TOOLS = 128
MOST_PASSAGES = 20
MOST_SENTENCES = 10
MOST_STOPS = 4
MOST_CONDITIONS = 24
MOST_NESTED = 4
MOST_VALUES = 256
DEFAULT_PAGE = 50
LARGEST_PAGE = 1000
LONGEST_COMMENT = 2000
LONGEST_REPLACEMENT = 100_000
COLLECTION = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")


def ask(request: pb.RunRequest) -> RunInput:
    return RunInput(
        messages=_messages(request.messages),
        collection=_collection(request.collection),
        max_passages=_bounded("max_passages", request.max_passages, MOST_PASSAGES),
        max_sentences=_bounded("max_sentences", request.max_sentences, MOST_SENTENCES),
        tools=_tools(request.tools),
        tool_choice=_tool_choice(request.tool_choice),
        serial_tool_calls=request.serial_tool_calls,
        response_format=_form(request.response_format) if request.HasField("response_format") else None,
        sampling=_sampling(request.sampling),
        session_id=session_id(request.session_id) if request.session_id else "",
        priority=_priority(request.priority),
        filter=_filter(request.filter) if request.HasField("filter") else ALL,
        prompt=request.prompt.name,
        prompt_messages=max(0, request.prompt.messages),
    )


def _messages(messages: Sequence[run_pb2.Message]) -> tuple[Message, ...]:
    if not messages or int(messages[-1].role) not in (Role.USER, Role.TOOL):
        raise InvalidArgument(
            "messages must end with a user message, the question, or with a tool's result", field="messages"
        )
    if len(messages) > MOST_MESSAGES:
        raise InvalidArgument(f"{len(messages)} messages are too many; the most is {MOST_MESSAGES}", field="messages")
    last = messages[-1]
    if int(last.role) == Role.USER and not last.content.strip():
        raise InvalidArgument("the question is empty", field="messages")
    return tuple(_message(number, message) for number, message in enumerate(messages))


_ROLES: Mapping[int, Role] = {int(role): role for role in Role}


def _message(number: int, message: run_pb2.Message) -> Message:
    role = _ROLES.get(message.role)
    if role is None:
        raise InvalidArgument(f"message {number} has no role", field="messages")
    if role is Role.TOOL and not message.tool_call_id:
        raise InvalidArgument(f"message {number} is a tool's result and names no tool_call_id", field="messages")
    if message.tool_calls and role is not Role.ASSISTANT:
        raise InvalidArgument(f"message {number} has tool_calls, which only an assistant has", field="messages")
    calls = tuple(
        ToolCall(call.id, call.name, call.arguments, taken(call.beside, "" if place else message.reasoning))
        for place, call in enumerate(message.tool_calls)
    )
    return Message(role, message.content, calls, message.tool_call_id, message.name)


def _tools(tools: Sequence[tool_pb2.Tool]) -> tuple[Declaration, ...]:
    if len(tools) > MOST_TOOLS:
        raise InvalidArgument(f"{len(tools)} tools are too many; the most is {MOST_TOOLS}", field="tools")
    declared = tuple(_tool(number, tool) for number, tool in enumerate(tools))
    if len({tool.name for tool in declared}) < len(declared):
        raise InvalidArgument("two tools have the same name", field="tools")
    return declared


def _tool(number: int, tool: tool_pb2.Tool) -> Declaration:
    if not NAME.fullmatch(tool.name):
        raise InvalidArgument(f"the name of tool {number} is not 1 to 64 letters, digits, _ and -", field="tools")
    parameters = _schema(tool.parameters or NO_PARAMETERS, "tools")
    strict = tool.strict if tool.HasField("strict") else None
    return Declaration(tool.name, tool.description, parameters, strict=strict)


def _schema(text: str, field: str) -> dict[str, Any]:
    try:
        schema = orjson.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"a schema is not valid JSON: {error}", field=field) from error
    if not isinstance(schema, dict):
        raise InvalidArgument("a schema must be a JSON object", field=field)
    return schema


def _tool_choice(choice: tool_pb2.ToolChoice) -> ToolChoice:
    if choice.mode not in (0, *Choice):
        raise InvalidArgument("tool_choice has an unknown mode", field="tool_choice")
    if not choice.mode and not choice.function:
        return ToolChoice()
    made = ToolChoice(Choice(choice.mode or Choice.AUTO), choice.function)
    if (made.choice is Choice.FUNCTION) != bool(made.function):
        raise InvalidArgument("tool_choice names a function with MODE_FUNCTION, and only then", field="tool_choice")
    return made


def _form(form: generation_pb2.ResponseFormat) -> ResponseFormat:
    if form.kind not in (0, *Form):
        raise InvalidArgument("response_format has an unknown kind", field="response_format")
    kind = Form(form.kind or Form.TEXT)
    schema = _schema(form.schema, "response_format") if kind is Form.JSON_SCHEMA else {}
    return ResponseFormat(kind, form.name, schema, form.strict if form.HasField("strict") else None)


# (field, least, most); `top_p` and `repetition_penalty` must be over their least.
_RANGES = (
    ("temperature", 0.0, 2.0),
    ("top_p", 0.0, 1.0),
    ("min_p", 0.0, 1.0),
    ("presence_penalty", -2.0, 2.0),
    ("frequency_penalty", -2.0, 2.0),
    ("repetition_penalty", 0.0, 10.0),
)
_OVER = ("top_p", "repetition_penalty")


def _sampling(sampling: generation_pb2.Sampling) -> Sampling:
    given: dict[str, Any] = {field.name: value for field, value in sampling.ListFields()}
    if not given:
        return Sampling()
    for name, least, most in _RANGES:
        value = given.get(name)
        if value is not None and not (least <= value <= most and (value > least or name not in _OVER)):
            over = "over" if name in _OVER else "from"
            raise InvalidArgument(f"{name} must be {over} {least:g} to {most:g}", field=name)
    if given.get("top_k", 0) < 0:
        raise InvalidArgument("top_k must not be negative", field="top_k")
    if given.get("max_tokens", 1) < 1:
        raise InvalidArgument("max_tokens must be 1 at least", field="max_tokens")
    stop = tuple(sampling.stop)
    if len(stop) > MOST_STOPS or not all(stop):
        raise InvalidArgument(f"stop has {MOST_STOPS} texts at most, none of them empty", field="stop")
    return Sampling(**{**given, "stop": stop})


def _priority(value: int) -> Priority:
    if value not in (0, *Priority):
        raise InvalidArgument("priority is unknown", field="priority")
    return Priority(value or Priority.INTERACTIVE)


def _filter(given: retrieval_pb.Filter) -> DocumentFilter:
    if _size(given) > MOST_CONDITIONS:
        raise InvalidArgument(f"a filter has at most {MOST_CONDITIONS} conditions and nested filters", field="filter")
    return _nested(given, MOST_NESTED)


def _size(given: retrieval_pb.Filter) -> int:
    return len(given.must) + len(given.must_not) + sum(1 + _size(one) for one in given.any)


def _nested(given: retrieval_pb.Filter, depth: int) -> DocumentFilter:
    if given.any and not depth:
        raise InvalidArgument(f"filters are nested at most {MOST_NESTED} deep", field="filter")
    return DocumentFilter(
        tuple(map(_condition, given.must)),
        tuple(map(_condition, given.must_not)),
        tuple(_nested(one, depth - 1) for one in given.any),
    )


def _condition(given: retrieval_pb.Condition) -> Condition:
    """The bounds of a range are for retrieval to check."""
    if not is_field(given.field):
        raise InvalidArgument(
            f"a filter's field is document_id, media_type or metadata.KEY, not {given.field[:100]!r}", field="filter"
        )
    if given.HasField("range"):
        bounds = {field.name: value for field, value in given.range.ListFields()}
        return Condition(given.field, tuple(given.any_of), NumberRange(**bounds))
    if not 1 <= len(given.any_of) <= MOST_VALUES:
        raise InvalidArgument(f"the condition on {given.field[:100]!r} needs 1 to {MOST_VALUES} values", field="filter")
    return Condition(given.field, tuple(given.any_of))


def session_id(name: str) -> str:
    """The id, if a session could have it."""
    if not SESSION.fullmatch(name):
        raise InvalidArgument("a session's id is 1 to 64 letters, digits, '_' and '-'", field="session_id")
    return name


def _collection(name: str) -> str:
    """The name, if retrieval could know it: what goes into the record of runs is not just anything."""
    if name and not COLLECTION.fullmatch(name):
        raise InvalidArgument(
            "a collection's name is 1 to 64 of a-z, 0-9, '-' and '_' and begins with a letter or a digit",
            field="collection",
        )
    return name


def page_size(asked: int) -> int:
    """How many a page has at most."""
    size = asked or DEFAULT_PAGE
    if not 1 <= size <= LARGEST_PAGE:
        raise InvalidArgument(f"page_size must be from 1 to {LARGEST_PAGE}, or 0", field="page_size")
    return size


def _bounded(field: str, value: int, most: int) -> int:
    if not 0 <= value <= most:
        raise InvalidArgument(f"{field} must be from 1 to {most}, or 0 for the default", field=field)
    return value


def decision(request: pb.DecideRequest, subject: str) -> ApprovalDecided:
    """What `subject` decides."""
    for field, value, most in (
        ("comment", request.comment, LONGEST_COMMENT),
        ("replacement", request.replacement, LONGEST_REPLACEMENT),
    ):
        if len(value) > most:
            raise InvalidArgument(f"{field} has {len(value)} characters; the most is {most}", field=field)
    if request.replacement and not request.approved:
        raise InvalidArgument("a replacement goes with approved", field="replacement")
    return ApprovalDecided(request.approval_id, request.approved, subject, request.comment, request.replacement)


def run_filter(request: pb.ListRunsRequest) -> RunFilter:
    """Which runs are to be listed."""
    if request.state not in (0, *RunState):
        raise InvalidArgument("state is unknown", field="state")
    return RunFilter(
        RunState(request.state) if request.state else None, session_id(request.session_id) if request.session_id else ""
    )
