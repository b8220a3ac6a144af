"""The texts in what an MCP server says, for guards to read: of a tool's description, a result, a prompt. Pure."""

from collections.abc import Sequence
from typing import Any

from services.llm.openai.leaves import Leaf, Walk

# Names of the protocol's own, which say nothing of a server's.
_NAMES = frozenset((
    "contents", "cacheScope", "destructiveHint", "execution", "idempotentHint", "inputSchema", "isError",
    "lastModified", "mimeType", "openWorldHint", "outputSchema", "priority", "readOnlyHint", "resource", "resultType",
    "size", "structuredContent", "taskSupport", "ttlMs", "uri", "uriTemplate", "audience", "arguments",
))  # fmt: skip
_KINDS = frozenset(("image", "audio", "resource", "resource_link", "complete", "public", "private"))


class McpTexts:
    """Works on a JSON of the protocol in place. `unread`: the path of the first thing in it that is no text but says
    something; empty where there is none."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.unread = ""
        self._sealed: list[tuple[dict[str, Any], str, Any]] = []
        _strip(value)
        self._binary(value, "")
        walk = Walk()
        walk.over(value, "", free=True)
        self._leaves: list[Leaf] = [leaf for leaf in walk.leaves if not _is_own(leaf)]
        self.unread = self.unread or walk.unread
        for holder, key, data in self._sealed:
            holder[key] = data

    @property
    def texts(self) -> list[str]:
        return [leaf.text for leaf in self._leaves]

    def put(self, texts: Sequence[str]) -> None:
        """Write others in their places: as many, in the same order."""
        for leaf, text in reversed(list(zip(self._leaves, texts, strict=True))):
            leaf.put(text)

    def _binary(self, value: Any, path: str) -> None:
        """Lay aside what is in base64."""
        if isinstance(value, dict):
            media = value.get("type") in ("image", "audio") and "data" in value
            for key in ("data",) * media + ("blob",) * isinstance(value.get("blob"), str):
                self.unread = self.unread or f"{path}.{key}".lstrip(".")
                self._sealed.append((value, key, value[key]))
                value[key] = ""
            for key, inner in value.items():
                self._binary(inner, f"{path}.{key}")
        elif isinstance(value, list):
            for place, inner in enumerate(value):
                self._binary(inner, f"{path}[{place}]")


def _is_own(leaf: Leaf) -> bool:
    return leaf.text in _NAMES if leaf.named else leaf.key in ("type", "resultType") and leaf.text in _KINDS


def _strip(value: Any) -> None:
    """Leave out what programs say to each other."""
    if isinstance(value, dict):
        for key in ("_meta", "icons"):
            value.pop(key, None)
        for inner in value.values():
            _strip(inner)
    elif isinstance(value, list):
        for inner in value:
            _strip(inner)
