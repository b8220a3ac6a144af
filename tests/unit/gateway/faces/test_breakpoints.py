"""Breakpoints of Anthropic's cache in a message: they go on to its own wire, and to no other."""

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.faces.http.anthropic import message_request
from gateway.faces.http.openai import bare_request
from services.llm.catalogue.entry import CatalogueEntry, EngineKind
from services.llm.wires.prompt_cache import keyed

MARK = {"cache_control": {"type": "ephemeral"}}
SCHEMA = {"type": "object"}
BODY: dict[str, Any] = {
    "model": "small",
    "max_tokens": 5,
    "system": [{"type": "text", "text": "Write code.", **MARK}, {"type": "text", "text": "In /src."}],
    "tools": [{"name": "look", "input_schema": SCHEMA, **MARK}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hi.", **MARK}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "a", **MARK}]},
    ],
}
ENTRY = CatalogueEntry("small", EngineKind.ANTHROPIC, bare=True, model="small", base_url="https://x.example/v1")


def sent(entry: CatalogueEntry) -> Any:
    chat = message_request.parse(BODY, entry).chat
    return json.loads(bare_request.parse(chat, translated=True).wire(entry))


def test_they_go_on_to_anthropics_wire() -> None:
    body = sent(ENTRY)
    system, said, _, result = body["messages"]
    assert system["content"] == [{"type": "text", "text": "Write code.", **MARK}, {"type": "text", "text": "In /src."}]
    assert said["content"] == [{"type": "text", "text": "Hi.", **MARK}]
    assert result["cache_control"] == body["tools"][0]["cache_control"] == MARK["cache_control"]


@pytest.mark.parametrize("engine", [EngineKind.OPENAI, EngineKind.GEMINI, EngineKind.OLLAMA])
def test_they_go_to_no_other(engine: EngineKind) -> None:
    body = sent(replace(ENTRY, engine=engine))
    assert "cache_control" not in json.dumps(body)
    assert [message["content"] for message in body["messages"]] == ["Write code.\nIn /src.", "Hi.", None, "a"]


def test_no_guard_reads_a_breakpoint() -> None:
    texts = bare_request.parse(message_request.parse(BODY, ENTRY).chat, translated=True).texts
    assert not {"cache_control", "ephemeral"} & set(texts)


def test_each_tenant_has_keys_of_its_own() -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "system", "content": "Be brief."}]}).encode()
    assert len({keyed(body, tenant) for tenant in ("a", "b", "a")}) == 2
