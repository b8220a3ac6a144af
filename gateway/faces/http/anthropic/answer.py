"""A chat completion's answer in Anthropic's words. Pure."""

from collections.abc import Sequence

from gateway.faces.http.answer_blocks import Block, Kind, arguments
from services.llm.openai.chunks import Json

_REASONS = {
    "stop": "end_turn", "length": "max_tokens", "budget": "max_tokens", "tool_calls": "tool_use",
    "content_filter": "refusal",
}  # fmt: skip
SIGNATURE = "headworks"
"""Of thoughts: clients send back those alone that have one. Nobody checks it."""
INVALID = "INVALID_JSON"
"""Under this name stand arguments that are no object: the form has no other place for them."""


def block_json(block: Block) -> Json:
    """A block, whole."""
    begun = empty(block)
    match block.kind:
        case Kind.THOUGHT:
            return begun | {"thinking": block.text, "signature": SIGNATURE}
        case Kind.CALL:
            given = arguments(block.text)
            return begun | {"input": {INVALID: block.text} if given is None else given}
    cited = [citation(annotation, place) for place, annotation in enumerate(block.annotations)]
    return begun | {"text": block.text, **({"citations": cited} if cited else {})}


def empty(block: Block) -> Json:
    """The block as it begins."""
    match block.kind:
        case Kind.THOUGHT:
            return {"type": "thinking", "thinking": "", "signature": ""}
        case Kind.CALL:
            return {**block.beside, "type": "tool_use", "id": block.id, "name": block.name, "input": {}}
    return {"type": "text", "text": ""}


def citation(annotation: Json, place: int) -> Json:
    """A source as a search result's location. What follows `end_block_index` is beyond Anthropic's form: the range in
    the answer, and where in the document the quote stands."""
    cited = annotation.get("url_citation") or annotation
    quote = cited.get("quote", "")
    beyond = {name: value for name, value in cited.items() if name not in ("url", "title", "quote")}
    return {
        "type": "search_result_location",
        "cited_text": quote,
        "source": cited.get("url", ""),
        "title": cited.get("title") or None,
        "search_result_index": place,
        "start_block_index": 0,
        "end_block_index": 1,
        **beyond,
    }


def ending(choice: Json, blocks: Sequence[Block], stops: Sequence[str]) -> Json:
    """Why the answer ends. Which of the caller's texts it ended at is known where the model's server says it, as
    vLLM does."""
    reason = _REASONS.get(choice.get("finish_reason") or "stop", "end_turn")
    if any(block.kind is Kind.REFUSAL for block in blocks):
        reason = "refusal"
    at = choice.get("stop_reason")
    if reason == "end_turn" and isinstance(at, str) and at in stops:
        return {"stop_reason": "stop_sequence", "stop_sequence": at}
    return {"stop_reason": reason, "stop_sequence": None}


def usage_json(usage: Json | None) -> Json:
    """What was used; what the model's cache had, and what was put there, is counted apart."""
    used = usage or {}
    details = used.get("prompt_tokens_details") or {}
    cached, kept = details.get("cached_tokens") or 0, details.get("cache_write_tokens") or 0
    thought = (used.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return {
        "input_tokens": max(0, (used.get("prompt_tokens") or 0) - cached - kept),
        "cache_creation_input_tokens": kept,
        "cache_read_input_tokens": cached,
        "output_tokens": used.get("completion_tokens") or 0,
        **({"output_tokens_details": {"thinking_tokens": thought}} if thought else {}),
    }


def message_id(completion_id: object) -> str:
    """The message's id, by that of the completion."""
    return f"msg_{str(completion_id).removeprefix('chatcmpl-')}"
