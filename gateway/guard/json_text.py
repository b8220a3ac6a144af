"""JSON that is rewritten as it comes, so that it stays JSON: what stands in place of a number is a string."""

import json
import re
from collections.abc import Iterator

_FIRST = re.compile(r"\s*(?:```\w{0,16}\s*)?(?P<open>[{\[])")
_MAY_BEGIN = re.compile(r"\s*(?:`{1,2}|```\w{0,16}\s*)?\Z")
_LONGEST_HEAD = 64
_OUTSIDE = re.compile(r'(?P<quote>")|(?P<bare>[^\s"{}\[\],:]+)|(?P<other>[\s{}\[\],:]+)')
_INSIDE = re.compile(r'(?P<quote>")|(?P<content>(?:[^"\\]|\\.|\\\Z)+)', re.DOTALL)
_PAIR = re.compile(r"\\.", re.DOTALL)
# What a value may stand behind, and before.
_BEFORE, _AFTER = ("[", ",", ":", ""), (",", "]", "}", "`", "")


class JsonShape:
    """Whether a text begins as JSON does, in a fence or without one. False until that is known."""

    __slots__ = ("_head", "_known", "json")

    def __init__(self, json: bool = False) -> None:
        self._head = ""
        self._known = self.json = json

    def take(self, text: str) -> bool:
        """Look at the next piece."""
        if not self._known:
            self._head += text[: _LONGEST_HEAD + 1]
            self.json = _FIRST.match(self._head) is not None
            self._known = self.json or len(self._head) > _LONGEST_HEAD or not _MAY_BEGIN.match(self._head)
        return self.json


def begins_json(text: str) -> bool:
    """The same of a whole text."""
    return _FIRST.match(text) is not None


class JsonText:
    """Where a writer of JSON is: inside a string or not, and behind which sign."""

    __slots__ = ("_before", "_inside")

    def __init__(self) -> None:
        self._inside = False
        self._before = ""

    def copy(self, text: str) -> str:
        """Go over a text that stays as it is."""
        if (_PAIR.sub("", text) if "\\" in text else text).count('"') & 1:
            self._inside = not self._inside
        if said := text.rstrip():
            self._before = said[-1]
        return text

    def values(self, text: str, final: bool) -> list[tuple[int, int]]:
        """Where in the text that follows bare values are, such as numbers; the last may not be at its end unless the
        text is final."""
        found: list[tuple[int, int]] = []
        before = self._before
        for kind, start, end in _tokens(text, self._inside):
            if kind == "bare" and before in _BEFORE:
                after = text[end:].lstrip()[:1]
                if after in _AFTER or (not after and not final):
                    found.append((start, end))
            if said := text[start:end].rstrip():
                before = said[-1]
        return found

    def replace(self, text: str, said: str, after: str) -> str:
        """What stands in place of a text when it says something else. `after`: the sign that follows it. What of the
        text is no content stays: quotes, brackets and the like."""
        written = json.dumps(said, ensure_ascii=False)
        out: list[str] = []
        given = False
        for kind, start, end in list(_tokens(text, self._inside)):
            part = text[start:end]
            if kind == "content":
                out.append("" if given else written[1:-1])
            elif kind == "bare":
                sign = text[end:].lstrip()[:1] or after
                is_value = self._before in _BEFORE and sign in _AFTER
                out.append(("null" if given else written) if is_value else "" if given else said)
            else:
                out.append(part)
            given = given or kind in ("content", "bare")
            self._inside ^= kind == "quote"
            if part := part.rstrip():
                self._before = part[-1]
        return "".join(out)


def _tokens(text: str, inside: bool) -> Iterator[tuple[str, int, int]]:
    """The kind, start and end of each part: quote, content of a string, bare value, other."""
    at = 0
    while at < len(text):
        match = (_INSIDE if inside else _OUTSIDE).match(text, at)
        if match is None:  # a lone backslash at the end
            yield "content", at, len(text)
            return
        kind = str(match.lastgroup)
        yield kind, at, match.end()
        inside ^= kind == "quote"
        at = match.end()
