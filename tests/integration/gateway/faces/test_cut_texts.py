"""What is cut over the parts of a request is found by guards on every face, in a bare model's call and in a run."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.http_calls import Refused
from tests.integration.gateway.conftest import MakeGateway
from tests.integration.gateway.faces.conftest import Before
from tests.integration.gateway.faces.test_anthropic import whole

BLOCK, REDACT = (f"guards:\n  - {{guard: pii, stage: input, action: {action}}}\n" for action in ("block", "redact"))
CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
ONE, OTHER = "bob@exam", "ple.org"


def texts(*said: str, kind: str = "text") -> list[dict[str, str]]:
    return [{"type": kind, "text": text} for text in said]


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def used(result: Any) -> list[dict[str, Any]]:
    """Of Anthropic's form, a tool's result as it comes back."""
    call = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    return [user("x"), {"role": "assistant", "content": [call]}, user([result])]


RESULT: dict[str, Any] = {"type": "tool_result", "tool_use_id": "c"}
FOUND: dict[str, Any] = {"type": "search_result", "source": "s", "title": "t", "content": texts(ONE, OTHER)}
DOCUMENT: dict[str, Any] = {"type": "document", "title": ONE, "source": {"type": "text", "data": OTHER}}
INPUT = texts(ONE, OTHER, kind="input_text")
CUT: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"messages": [user(texts(ONE, OTHER))]}),
    (CHAT, {"messages": [user(ONE), user(OTHER)]}),
    (MESSAGES, {"messages": [user(texts(ONE, OTHER))]}),
    (MESSAGES, {"messages": [user(ONE), user(OTHER)]}),
    (MESSAGES, {"messages": [user(ONE), {"role": "assistant", "content": texts(OTHER)}, user("x")]}),
    (MESSAGES, {"messages": [user("x"), {"role": "assistant", "content": texts(ONE, OTHER)}, user("x")]}),
    (MESSAGES, {"messages": [user("x")], "system": texts(ONE, OTHER)}),
    (MESSAGES, {"messages": [user("x"), {"role": "system", "content": texts(ONE, OTHER)}, user("x")]}),
    (MESSAGES, {"messages": used(RESULT | {"content": texts(ONE, OTHER)})}),
    (MESSAGES, {"messages": used(RESULT | {"content": texts(ONE, OTHER), "is_error": True})}),
    (MESSAGES, {"messages": [user([FOUND])]}),
    (MESSAGES, {"messages": [user([DOCUMENT])]}),
    (RESPONSES, {"input": [user(INPUT)]}),
    (RESPONSES, {"input": [user(ONE), user(OTHER)]}),
    (RESPONSES, {"input": [{"role": "developer", "content": INPUT}, user("x")]}),
    (RESPONSES, {"instructions": ONE, "input": [{"role": "developer", "content": OTHER}, user("x")]}),
    (RESPONSES, {"input": [user("x"), {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                           {"type": "function_call_output", "call_id": "c", "output": INPUT}]}),
]  # fmt: skip


def asked(path: str, model: str, more: dict[str, Any]) -> bytes:
    head = {"model": model} | ({"max_tokens": 5} if path == MESSAGES else {})
    return json.dumps(head | more).encode()


@pytest.mark.parametrize(("path", "more"), CUT, ids=str)
async def test_of_a_bare_model(before: Before, path: str, more: dict[str, Any]) -> None:
    gateway, upstream = await before(whole({"content": "Hi."}), guards=BLOCK)
    with pytest.raises(Refused) as caught:
        await gateway.ask("POST", path, asked(path, "small", more)).whole()
    assert caught.value.status == 400
    assert "content_filter" in json.dumps(caught.value.error)
    assert upstream.exchanges == []


@pytest.mark.parametrize(("path", "more"), CUT, ids=str)
async def test_of_a_run(make_gateway: MakeGateway, tmp_path: Path, path: str, more: dict[str, Any]) -> None:
    (tmp_path / "guards.yaml").write_text(BLOCK)
    gateway = await make_gateway(guards_file=tmp_path / "guards.yaml")
    with pytest.raises(Refused) as caught:
        await gateway.ask("POST", path, asked(path, "rag", more)).whole()
    assert caught.value.status == 400
    assert "content_filter" in json.dumps(caught.value.error)


@pytest.mark.parametrize(
    ("path", "more"),
    [(MESSAGES, {"messages": [user(texts("a ", ONE, OTHER))]}),
     (RESPONSES, {"input": [user(texts("a ", ONE, OTHER, kind="input_text"))]})],
)  # fmt: skip
async def test_parts_go_on_as_one_text_with_what_was_found_replaced(
    before: Before, path: str, more: dict[str, Any]
) -> None:
    """Not every server takes lists."""
    gateway, upstream = await before(whole({"content": "Hi."}), guards=REDACT)
    await gateway.ask("POST", path, asked(path, "small", more)).whole()
    [message] = upstream.bodies[0]["messages"]
    assert isinstance(message["content"], str)
    first, second, third = message["content"].split("\n")
    assert (first, third) == ("a ", "")
    assert second.startswith("<EMAIL")
