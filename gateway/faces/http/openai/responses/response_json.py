"""A response and its items in OpenAI's words. Pure."""

from collections.abc import Mapping
from typing import Any

from gateway.faces.http.answer_blocks import AnswerBlocks, Block, Kind
from gateway.faces.http.chat_events import choice_of
from gateway.faces.http.openai.responses import tools
from gateway.faces.http.openai.responses.response_request import ResponseRequest
from services.llm.openai.calls import NO_ARGUMENTS
from services.llm.openai.chunks import Json

_PREFIXES: Mapping[Kind, str] = {Kind.THOUGHT: "rs", Kind.TEXT: "msg", Kind.REFUSAL: "msg", Kind.CALL: "fc"}
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter", "budget": "budget"}
IN_PROGRESS, COMPLETED, INCOMPLETE, FAILED = "in_progress", "completed", "incomplete", "failed"


def response_id(completion_id: object) -> str:
    """The response's id, by that of the completion: of a run it has the run's."""
    return f"resp_{str(completion_id).removeprefix('chatcmpl-')}"


def run_of(given: str) -> str:
    """The run that a response's id has."""
    return given.removeprefix("resp_")


def item_id(kind: Kind, response: str, number: int) -> str:
    """An item's id: the same in every event, and in the end."""
    return f"{_PREFIXES[kind]}_{run_of(response)}_{number}"


def part_json(block: Block, text: str) -> Json:
    """The one part of a message or of thoughts, so far as `text` goes."""
    match block.kind:
        case Kind.THOUGHT:
            return {"type": "reasoning_text", "text": text}
        case Kind.REFUSAL:
            return {"type": "refusal", "refusal": text}
    cited = [annotation(one) for one in block.annotations] if text else []
    return {"type": "output_text", "text": text, "annotations": cited, "logprobs": []}


def annotation(given: Json) -> Json:
    """A citation, whose fields stand in a chat completion one level deeper."""
    return {"type": "url_citation", **(given.get("url_citation") or given)}


def item_json(asked: ResponseRequest, block: Block, number: int, response: str, status: str) -> Json:
    """A block as an item; one that has just begun is empty."""
    begins = status == IN_PROGRESS
    head = {"id": item_id(block.kind, response, number), "status": status}
    if block.kind is Kind.CALL:
        arguments = "" if begins else block.text or NO_ARGUMENTS
        return {**block.beside, **head, **tools.call_json(block.id, block.name, arguments, asked.named)}
    content = [] if begins else [part_json(block, block.text)]
    if block.kind is Kind.THOUGHT:
        return {**head, "type": "reasoning", "summary": [], "content": content}
    return {**head, "type": "message", "role": "assistant", "content": content}


def output(asked: ResponseRequest, blocks: list[Block], response: str, status: str) -> list[Json]:
    """All items. Where the response is not whole, the last one is not."""
    last = len(blocks) - 1
    return [
        item_json(asked, block, number, response, status if number == last else COMPLETED)
        for number, block in enumerate(blocks)
    ]


def ending(choice: Json) -> tuple[str, Json | None]:
    """The status, and why the response is not whole, if it is not."""
    reason = _INCOMPLETE.get(choice.get("finish_reason") or "")
    return (COMPLETED, None) if reason is None else (INCOMPLETE, {"reason": reason})


def usage_json(usage: Json | None) -> Json | None:
    """What was used."""
    if not usage:
        return None
    read, written = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    details = usage.get("prompt_tokens_details") or {}
    cached, kept = details.get("cached_tokens") or 0, details.get("cache_write_tokens") or 0
    thought = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": kept},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": read + written,
    }


def response_json(asked: ResponseRequest, answer: Json, status: str, items: list[Json], **more: Any) -> Json:
    """A response; `answer` is the completion or a chunk of it, whose id and name of the model it has."""
    body = asked.body
    session = asked.session_id
    return {
        "id": response_id(answer.get("id")),
        "object": "response",
        "created_at": answer.get("created") or 0,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "model": answer.get("model") or asked.model,
        "output": items,
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "previous_response_id": asked.previous or None,
        "reasoning": body.get("reasoning") or {"effort": None, "summary": None},
        "service_tier": "default",
        "store": bool(asked.store),
        "temperature": body.get("temperature"),
        "text": {"format": {"type": "text"}, **(body.get("text") or {})},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p"),
        "truncation": "disabled",
        "usage": None,
        **({"conversation": {"id": session}} if session else {}),
        **({"prompt": body["prompt"]} if body.get("prompt") else {}),
        **more,
    }


def whole(completion: Json, asked: ResponseRequest) -> Json:
    """A whole completion as a response; of an agent with what is beyond OpenAI's form under "headworks"."""
    choice = choice_of(completion)
    blocks = AnswerBlocks()
    blocks.take(choice.get("message") or {})
    status, why = ending(choice)
    items = output(asked, blocks.blocks, response_id(completion.get("id")), status)
    more: Json = {"incomplete_details": why, "usage": usage_json(completion.get("usage"))}
    if "headworks" in completion:
        more["headworks"] = completion["headworks"]
    return response_json(asked, completion, status, items, **more)
