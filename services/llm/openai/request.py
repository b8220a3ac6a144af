"""Conversations, tools and forms of answers as OpenAI's API writes them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from services.llm.chat import (
    Choice,
    Declaration,
    Form,
    Message,
    ResponseFormat,
    Role,
    Sampling,
    ToolCall,
    ToolChoice,
)
from services.llm.generation import Generation
from services.llm.wires.wire import EXTRA

_ROLES = {Role.SYSTEM: "system", Role.USER: "user", Role.ASSISTANT: "assistant", Role.TOOL: "tool"}
_CHOICES = {Choice.AUTO: "auto", Choice.NONE: "none", Choice.REQUIRED: "required"}
REASONING = "reasoning_content"
"""What goes back with a call, and with the message of the first: Google's servers want this, and DeepSeek's that."""
BESIDE = (EXTRA, "provider_specific_fields", "signature", "thought_signature")
"""Fields of a call that go back with it. Others are by proxies before such servers."""
LONGEST_BESIDE = 256 << 10
"""Characters beside a call; what is longer is not sent back."""
CONTINUES = {"continue_final_message": True, "add_generation_prompt": False}
"""How vLLM and others are told that the last message goes on; other wires have no word for it, and take it so."""
_NUMBERS = (
    "temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty",
    "repetition_penalty",
)  # fmt: skip


def body(generation: Generation, model: str, limit_field: str = "max_tokens") -> dict[str, Any]:
    """The request for a streamed answer, to a model by the upstream's name for it. `limit_field`: under what name it
    takes the most tokens of an answer."""
    made: dict[str, Any] = {
        "model": model,
        "messages": messages(generation.messages),
        "stream": True,
        "stream_options": {"include_usage": True},
        **sampling(generation.sampling, limit_field),
    }
    if generation.tools:
        made["tools"] = tools(generation.tools)
        made["tool_choice"] = tool_choice(generation.tool_choice)
        if generation.serial_tool_calls:
            made["parallel_tool_calls"] = False
    form = response_format(generation.response_format)
    if form["type"] != "text":
        made["response_format"] = form
    if generation.confidence:
        made["logprobs"] = True
    if generation.continues:
        made |= CONTINUES
    return made


def messages(given: Sequence[Message]) -> list[dict[str, Any]]:
    return [message(one) for one in given]


def message(given: Message) -> dict[str, Any]:
    made: dict[str, Any] = {"role": _ROLES[given.role], "content": given.content}
    if given.name:
        made["name"] = given.name
    if given.tool_calls:
        beside = [_beside(call) for call in given.tool_calls]
        made["tool_calls"] = [_call(call, extras) for call, extras in zip(given.tool_calls, beside, strict=True)]
        if thought := beside[0].get(REASONING):
            made[REASONING] = thought
    if given.role is Role.TOOL:
        made["tool_call_id"] = given.tool_call_id
    return made


def _beside(call: ToolCall) -> dict[str, Any]:
    beside: dict[str, Any] = orjson.loads(call.beside) if call.beside else {}
    return beside


def _call(call: ToolCall, beside: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: value for name in BESIDE if (value := beside.get(name))},
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments_json or "{}"},
    }


def tools(given: Sequence[Declaration]) -> list[dict[str, Any]]:
    return [
        {
            "type": "function",
            "function": {
                "name": one.name,
                **({"description": one.description} if one.description else {}),
                "parameters": dict(one.parameters),
                **_strict(one.strict),
            },
        }
        for one in given
    ]


def tool_choice(given: ToolChoice) -> Any:
    if given.choice is Choice.FUNCTION:
        return {"type": "function", "function": {"name": given.function}}
    return _CHOICES[given.choice]


def response_format(given: ResponseFormat) -> dict[str, Any]:
    if given.form is Form.JSON_SCHEMA:
        schema = {"name": given.name or "answer", "schema": dict(given.schema), **_strict(given.strict)}
        return {"type": "json_schema", "json_schema": schema}
    return {"type": "json_object" if given.form is Form.JSON_OBJECT else "text"}


def _strict(given: bool | None) -> dict[str, bool]:
    """As it was said, if it was."""
    return {} if given is None else {"strict": given}


def sampling(given: Sampling, limit_field: str = "max_tokens") -> dict[str, Any]:
    """What is set, by OpenAI's names and those that vLLM adds."""
    made = {name: value for name in _NUMBERS if (value := getattr(given, name)) is not None}
    if given.max_tokens is not None:
        made[limit_field] = given.max_tokens
    if given.stop:
        made["stop"] = list(given.stop)
    if given.ignore_eos:
        made["ignore_eos"] = True
    return made
