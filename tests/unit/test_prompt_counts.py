"""What a prompt costs where its upstream does not say: the same, whichever way it goes to it."""

from typing import Any

import pytest

from gateway.calls.run_request import RunTexts
from gateway.faces.http.openai import bare_request, chat_request
from services.llm.generation import Generation
from services.llm.tokens import estimate_generation, estimate_prompt
from services.orchestrator import requests

Json = dict[str, Any]
USER = {"role": "user", "content": "why is that so?"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "description": "Where?"}}}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "Tells.", "parameters": SCHEMA}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "Rain, and 7 degrees."}


def asked(*messages: Json, **more: Any) -> Json:
    return {"model": "m", "messages": [*messages], **more}


def formed(**given: Any) -> Json:
    return asked(USER, response_format={"type": "json_schema", "json_schema": {"name": "place", **given}})


ASKED: list[tuple[str, Json]] = [
    ("a question", asked(USER)),
    ("sampling, and who asks", asked(USER, temperature=0.5, stop=["end"], user="ann", max_tokens=5, seed=1)),
    ("instructions", asked({"role": "developer", "content": "Be brief."}, USER)),
    ("parts", asked({"role": "user", "content": [{"type": "text", "text": each} for each in ("why", "is", "that?")]})),
    ("names", asked({**USER, "name": "ann_of_oslo"})),
    ("no content", asked(USER, {"role": "assistant", "content": None}, USER)),
    ("a refusal", asked(USER, {"role": "assistant", "content": None, "refusal": "That I may not say."}, USER)),
    ("tools", asked(USER, tools=[WEATHER])),
    ("a choice of tools", asked(USER, tools=[WEATHER], tool_choice="required")),
    ("a tool that is a name", asked(USER, tools=[{"type": "function", "function": {"name": "now"}}])),
    ("nulls in a tool", asked(USER, tools=[{"type": "function", "function": {
        "name": "now", "description": None, "parameters": None, "strict": None}}])),
    ("calls", asked(USER, {"role": "assistant", "content": None, "tool_calls": [CALL]}, RESULT, tools=[WEATHER])),
    ("two calls", asked(USER, {"role": "assistant", "content": "Well.", "tool_calls": [CALL, {**CALL, "id": "call_2"}]},
                        RESULT, {**RESULT, "tool_call_id": "call_2", "name": "weather"}, tools=[WEATHER])),
    ("a result in parts", asked(USER, {"role": "assistant", "tool_calls": [CALL]},
                                {**RESULT, "content": [{"type": "text", "text": "Rain."}]}, tools=[WEATHER])),
    ("a schema", formed(schema=SCHEMA, strict=True)),
    ("a schema with a description", formed(schema=SCHEMA, description="Where it is.")),
    ("any object", asked(USER, response_format={"type": "json_object"})),
]  # fmt: skip


def in_a_run(body: Json) -> tuple[int, int]:
    """As the gateway counts it before it is asked, and as the one who asks the model does."""
    run = chat_request.read(body).run
    ask = requests.ask(run)
    generation = Generation(ask.messages, ask.tools, ask.tool_choice)
    if ask.response_format is not None:
        generation = Generation(ask.messages, ask.tools, ask.tool_choice, response_format=ask.response_format)
    return RunTexts(run).asked("m", "").prompt_tokens, estimate_generation(generation)


@pytest.mark.parametrize("body", [each[1] for each in ASKED], ids=[each[0] for each in ASKED])
def test_a_prompt_is_counted_by_one_rule(body: Json) -> None:
    bare = estimate_prompt(bare_request.parse(body).counted)
    assert in_a_run(body) == (bare, bare)


def test_all_that_a_model_reads_counts() -> None:
    least = estimate_prompt(bare_request.parse(asked(USER)).counted)
    for name, body in ASKED[2:]:
        if name not in ("parts", "any object"):
            assert estimate_prompt(bare_request.parse(body).counted) > least, name
