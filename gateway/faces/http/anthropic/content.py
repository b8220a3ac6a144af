"""Content blocks of messages to the parts and texts of a chat completion's."""

from collections.abc import Iterable
from typing import Any

from gateway.faces.http.openai import fields
from gateway.faces.http.openai.errors import BadRequest
from gateway.faces.http.openai.parts import marked
from gateway.faces.http.openai.parts import of as as_part
from services.llm.openai.chunks import Json

Placed = tuple[str, Json]
"""A block, and its path."""
_CITATIONS = "citations"
_PDF = "application/pdf"
# A text about the client and its price, which is another in each request: before it no cache would know the prompt.
BILLING = "x-anthropic-billing-header:"


def blocks(content: Any, path: str) -> list[Placed]:
    """The blocks of a content, of which a string is one of text. Raises BadRequest."""
    if isinstance(content, str):
        return [(path, {"type": "text", "text": content})] if content else []
    if not isinstance(content, list):
        raise BadRequest(f"{path} must be a string or a list of content blocks", path)
    placed = [(f"{path}[{place}]", block) for place, block in enumerate(content)]
    for where, block in placed:
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise BadRequest(f"{where} must be an object with a type", where)
    return placed


def instructions(content: Any) -> list[Json]:
    """The instructions, a string or text blocks, as parts; without what bears on Anthropic's bill. Raises
    BadRequest."""
    parts = [text_part(block, path) for path, block in blocks(content, "system")]
    return [part for part in parts if not part["text"].startswith(BILLING)]


def text_of(block: Json, path: str) -> str:
    """The text of a block that must be one of text. Raises BadRequest."""
    if block["type"] != "text":
        raise unknown(block, path)
    fields.known(block, ("type", "text", "cache_control", _CITATIONS), f"{path}.")
    return fields.maybe_text(block, "text", f"{path}.")


def text_part(block: Json, path: str) -> Json:
    """The same as a part."""
    return marked(as_part(text_of(block, path)), block)


def parts(given: Iterable[Placed]) -> list[Json]:
    """Blocks of what a user or a tool says as parts of a chat message. Raises BadRequest."""
    return [part for path, block in given for part in _parts(block, path)]


def unknown(block: Json, path: str) -> BadRequest:
    """The error of a block that no model here could read."""
    return BadRequest(f"{path} is a block of the type {block['type']!r}, which is not supported here", f"{path}.type")


def _parts(block: Json, path: str) -> list[Json]:
    match block["type"]:
        case "text":
            return [text_part(block, path)]
        case "image":
            fields.known(block, ("type", "source", "cache_control"), f"{path}.")
            return [marked({"type": "image_url", "image_url": {"url": _url(block, path)}}, block)]
        case "document":
            return _document(block, path)
        case "search_result":
            return _search_result(block, path)
    raise unknown(block, path)


def _source(block: Json, path: str) -> Json:
    source = block.get("source")
    if not isinstance(source, dict):
        raise BadRequest(f"{path}.source must be an object", f"{path}.source")
    return source


def _url(block: Json, path: str) -> str:
    source, where = _source(block, path), f"{path}.source."
    if source.get("type") == "url":
        return fields.text(source, "url", where)
    if source.get("type") == "base64":
        return f"data:{fields.text(source, 'media_type', where)};base64,{fields.text(source, 'data', where)}"
    raise BadRequest(f"{where}type must be base64 or url", f"{where}type")


def _document(block: Json, path: str) -> list[Json]:
    """A text with its title and its context before it, or a PDF as a file."""
    fields.known(block, ("type", "source", "title", "context", "cache_control", _CITATIONS), f"{path}.")
    _uncited(block, path)
    source, where = _source(block, path), f"{path}.source."
    title, context = (fields.maybe_text(block, name, f"{path}.") for name in ("title", "context"))
    kind = source.get("type")
    if kind == "text":
        said = [as_part(fields.text(source, "data", where))]
    elif kind == "content":
        said = parts(blocks(source.get("content"), f"{where}content"))
    elif kind == "base64" and source.get("media_type") == _PDF:
        data = f"data:{_PDF};base64,{fields.text(source, 'data', where)}"
        file = {"filename": title or "document.pdf", "file_data": data}
        return [as_part(context)] * bool(context) + [{"type": "file", "file": file}]
    else:
        raise BadRequest(f"{where}type must be text, content, or base64 of a PDF", f"{where}type")
    return [as_part(before) for before in (title, context) if before] + said


def _search_result(block: Json, path: str) -> list[Json]:
    fields.known(block, ("type", "source", "title", "content", "cache_control", _CITATIONS), f"{path}.")
    _uncited(block, path)
    head = [fields.maybe_text(block, name, f"{path}.") for name in ("title", "source")]
    texts = [text_of(one, where) for where, one in blocks(block.get("content"), f"{path}.content")]
    return [as_part(text) for text in (*head, *texts) if text]


def _uncited(block: Json, path: str) -> None:
    config = block.get(_CITATIONS)
    if isinstance(config, dict) and config.get("enabled"):
        raise BadRequest(
            f"{path}.citations cannot be had of a model: ask an agent that reads a collection", f"{path}.citations"
        )
