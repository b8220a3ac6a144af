"""Every text in a JSON of OpenAI's form, whatever its shape: strings, unknown fields' names, long numbers. Pure."""

import re
from dataclasses import dataclass
from typing import Any

MOST_NESTED = 100
# Field names of the API's own, which say nothing of a caller's or a model's.
NAMES = frozenset((
    "additionalProperties", "anyOf", "arguments", "audio", "annotations", "content", "custom", "data",
    "description", "detail", "enum", "file", "filename", "finish_reason", "format", "function", "function_call",
    "functions", "grammar", "id", "image_url", "index", "input", "input_audio", "items", "json_schema", "logprobs",
    "messages", "metadata", "name", "parameters", "prediction", "properties", "reasoning", "reasoning_content",
    "reasoning_details", "refusal", "required", "response_format", "role", "schema", "stop", "strict", "summary",
    "syntax", "text", "thinking", "title", "tool_call_id", "tool_calls", "tool_choice", "tools", "transcript",
    "type", "url", "url_citation", "user", "definition", "start_index", "end_index", "refusals", "partial_json",
    "output_text", "reasoning_text", "thought", "tool_call", "index", "token", "bytes", "logprob", "top_logprobs",
    "cache_control", "ttl", "default", "minimum", "maximum", "oneOf", "allOf", "const", "$ref", "$defs", "pattern",
))  # fmt: skip
# Under these names such words are the API's own too.
_KINDS = ("type", "role", "format", "detail", "finish_reason")
_WORDS = frozenset((
    "text", "input_text", "output_text", "refusal", "function", "custom", "image_url", "input_image", "input_audio",
    "file", "object", "string", "number", "integer", "boolean", "array", "null", "json_schema", "json_object",
    "content", "tool", "user", "assistant", "system", "developer", "grammar", "lark", "regex", "url_citation",
    "auto", "low", "high", "wav", "mp3", "stop", "length", "tool_calls", "content_filter", "function_call",
    "thinking", "reasoning", "reasoning.text", "reasoning.summary", "summary_text", "date-time", "date", "time",
    "email", "uri", "uuid", "ephemeral",
))  # fmt: skip
PICTURE_TOKENS = 1000
"""Of a picture, whatever its size: between what a small one costs and a large one."""
SOUND_TOKEN, SEALED_TOKEN = 512, 8
"""So many characters of base64 are a token of a sound, a film or a file, and of a text that is sealed."""
_LONG_NUMBER = 1_000_000
_MEDIA = re.compile(r"data:(?P<kind>image(?!/svg)|audio|video)/[\w.+-]{1,64}(?:;[\w=.-]{1,64}){0,4};base64,[\w+/=-]*\Z")
_KIND = re.compile(r"(?:image(?!/svg)|audio|video)/")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{64,}={0,2}")
_URLS = frozenset(("url", "image_url", "audio_url", "video_url", "file_data"))
# What an upstream seals for itself is under these names, and sounds and the like are `data` beside one of the others.
_SEALED = frozenset(("encrypted_content", "signature", "thought_signature"))
_FORMATS = frozenset(("format", "media_type", "mime_type"))
# What a model reads and nobody else can: documents in binary form or by reference, and texts as tokens.
_UNREAD = frozenset((
    "file_data", "file_id", "prompt_token_ids", "token_ids", "input_ids", "prompt_embeds", "inputs_embeds",
    "previous_response_id",
))  # fmt: skip
# Strings under other names are texts whatever they hold.
_NO_TEXT = _URLS | _UNREAD | _SEALED | {"data"}
# Within these all names are a caller's or a model's own, and say nothing of what is under them.
_FREE = frozenset(("arguments", "input", "metadata", "parameters", "schema", "tools", "functions", "json_schema"))


def _media_tokens(holder: Any, key: Any, value: str) -> int:
    """About how many tokens a value has that is no text."""
    if value.startswith("data:image/"):
        return PICTURE_TOKENS
    return -(-len(value) // (SEALED_TOKEN if _is_sealed(holder, key) else SOUND_TOKEN))


def _is_sealed(holder: Any, key: Any) -> bool:
    return key in _SEALED or (key == "data" and str(holder.get("type")).endswith("encrypted"))


def _is_media(holder: Any) -> bool:
    """Whether what is in base64 is a picture, a sound or a film, and no document that a model reads as text."""
    given = [str(holder[name]) for name in _FORMATS if name in holder]
    return all(_KIND.match(kind) or "/" not in kind for kind in given)


@dataclass(slots=True)
class Leaf:
    """A text, and where it stands: `holder[key]`; or, of a `named` leaf, the name `key` in `holder`. `path`: that of a
    string; empty where it is none."""

    holder: Any
    key: Any
    text: str
    named: bool = False
    path: str = ""

    def put(self, text: str) -> None:
        """Put another in its place. Of several leaves the last comes first: what is named before its name."""
        if text == self.text:
            return
        if self.named:
            fields = [(text if name == self.key else name, value) for name, value in self.holder.items()]
            self.holder.clear()
            self.holder.update(fields)
            self.key = text
        else:
            self.holder[self.key] = text
        self.text = text


class Walk:
    """Goes over JSONs and keeps their `leaves`, in order. `unread`: the path of the first thing that is no text but
    says something; empty where there is none. `spoken`: so does a sound. `media`: about how many tokens pictures,
    sounds and what is sealed have."""

    def __init__(self, spoken: bool = False) -> None:
        self._spoken = spoken
        self.leaves: list[Leaf] = []
        self.unread = ""
        self.media = 0

    def over(self, value: Any, path: str, depth: int = 0, free: bool = False) -> None:
        """Take the leaves within a list or an object. `free`: its form is nobody's."""
        if depth > MOST_NESTED:
            self._cannot_read(path)
        elif isinstance(value, dict):
            for key, inner in value.items():
                if key not in NAMES and key:
                    self.leaves.append(Leaf(value, key, key, named=True))
                self.at(value, key, inner, f"{path}.{key}" if path else key, depth, free)
        elif isinstance(value, list):
            for place, inner in enumerate(value):
                self.at(value, place, inner, f"{path}[{place}]", depth, free)

    def at(self, holder: Any, key: Any, value: Any, path: str, depth: int = 0, free: bool = False) -> None:
        """Take the leaves of one value, which `holder` has under `key`."""
        if isinstance(value, str):
            if not value or (key in _KINDS and value in _WORDS):
                return
            if free or key not in _NO_TEXT or self._is_text(holder, key, value, path):
                self.leaves.append(Leaf(holder, key, value, path=path))
            else:
                self.media += _media_tokens(holder, key, value)
        elif isinstance(value, dict | list):
            if key in _UNREAD and value and not free:
                self._cannot_read(path)
            self.over(value, path, depth + 1, free or key in _FREE)
        elif isinstance(value, int | float) and abs(value) >= _LONG_NUMBER:
            self.leaves.append(Leaf(holder, key, str(int(value) if value % 1 == 0 else value)))

    def _is_text(self, holder: Any, key: Any, value: str, path: str) -> bool:
        if key in _URLS and "image" in path and value.startswith("http"):
            self.media += PICTURE_TOKENS
        if key in _URLS and value.startswith("data:"):
            media = _MEDIA.match(value)
            if media is None or (self._spoken and media["kind"] != "image"):
                self._cannot_read(path)
            return media is None
        if key in _UNREAD:
            self._cannot_read(path)
        sealed = _is_sealed(holder, key)
        file = key == "data" and not sealed and ("audio" in path or not _FORMATS.isdisjoint(holder))
        if file and "audio" not in path and not _is_media(holder):
            if holder.get("type") != "text":
                self._cannot_read(path)
            return True
        if not (sealed or file) or not _BASE64.fullmatch(value):
            return True
        if file and self._spoken:
            self._cannot_read(path)
        return False

    def _cannot_read(self, path: str) -> None:
        self.unread = self.unread or path
