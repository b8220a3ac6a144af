"""What an MCP server answers, as text."""

import base64
import binascii

import mcp_types as types
import orjson

NOTHING = "(the tool gave nothing)"


def text_of(result: types.CallToolResult) -> str:
    """The texts of a result, one below the other; its structured content as JSON where it has no text. What is no text
    is left out, in words."""
    parts = [_part(content) for content in result.content]
    has_text = any(isinstance(content, types.TextContent) for content in result.content)
    if result.structured_content is not None and not has_text:
        parts.append(orjson.dumps(result.structured_content).decode())
    return "\n".join(part for part in parts if part) or ("" if result.is_error else NOTHING)


def _part(content: types.ContentBlock) -> str:
    match content:
        case types.TextContent():
            return content.text
        case types.ImageContent():
            return _left_out("an image", content.mime_type, content.data)
        case types.AudioContent():
            return _left_out("a sound", content.mime_type, content.data)
        case types.ResourceLink():
            return f"[a resource: {content.name}, {content.uri}]"
        case types.EmbeddedResource(resource=types.TextResourceContents() as resource):
            return f"[{resource.uri}]\n{resource.text}"
        case types.EmbeddedResource(resource=types.BlobResourceContents() as blob):
            return _left_out("a file", blob.mime_type or "unknown type", blob.blob)
    return "[something that is no text was left out]"


def _left_out(what: str, kind: str, data: str) -> str:
    try:
        size = f"{len(base64.b64decode(data, validate=True))} bytes"
    except (binascii.Error, ValueError):
        size = "of unknown size"
    return f"[{what} was left out: {kind}, {size}; only text is taken]"
