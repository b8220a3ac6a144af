"""Links to hosts that are not allowed, however they are written: without a scheme, with dots spelled out, encoded."""

import re
from collections.abc import Collection, Iterator
from urllib.parse import unquote

from gateway.guard.detector import Match, Scan, Window

CATEGORY = "HOST"
_DOT = r"(?:\.|[\[({](?:\.|dot)[\])}])"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# Those of which a name without a scheme is taken for a host.
_TLD = (
    r"(?:com|net|org|info|biz|io|co|ai|app|dev|me|xyz|top|site|online|shop|club|icu|link|click|page|cloud|tech|live"
    r"|space|store|website|zip|mov|ru|cn|de|fr|uk|us|eu|in|jp|br|it|es|nl|pl|ch|tk|cc|su|to|ly|gg)"
)
_AUTHORITY = (
    r"(?:[A-Za-z0-9_~%:@-]|\.(?=[\w%])|[\[({](?:\.|dot)[\])}]|\[[0-9A-Fa-f:.]{2,40}\]|[\u00c0-\u06ff]"
    r"|(?<=[/.])\w{1,63}){1,253}"
)
_PATH = r"(?:[/\\?#][!#-&*-;=?-\[\]-_a-z|~]{0,1800}(?<![.,;:!?]))?"
_SCHEME = r"(?:(?<![A-Za-z0-9])(?:h(?:tt|xx)ps?|ftp|wss?)(?::|\[:\])[/\\]{1,4}|(?<![A-Za-z0-9:/\\])//)"
_EDGE = r"(?<![A-Za-z0-9_/\\=&?#@.:%-])"
_BARE = rf"(?:{_LABEL}{_DOT}){{1,8}}{_TLD}(?![A-Za-z0-9@-])(?!{_DOT}[A-Za-z0-9])"
_SPOKEN = (
    rf"(?!(?:the|an?|this|that|any|every) dot )(?:{_LABEL}{_DOT}){{0,4}}(?:{_LABEL} dot ){{1,4}}{_TLD}(?![A-Za-z0-9-])"
)
_LINK = re.compile(
    rf"(?:{_SCHEME}(?P<full>{_AUTHORITY})|{_EDGE}(?P<bare>{_BARE})|{_EDGE}(?P<said>{_SPOKEN})){_PATH}", re.IGNORECASE
)
_SIGN = re.compile(r"//|\\\\|:[/\\]|\.\w|[\[({](?:\.|dot)[\])}]| dot |%2e", re.IGNORECASE)
# Of these every sign has one, in lower case.
_MARKS = ("//", "\\", ":/", "[.", "(.", "{.", "dot", "%2e")
_DOTTED = re.compile(r"\.\w")
_CHARACTERS = "".join(map(chr, (*range(0x21, 0x7F), *range(0xC0, 0x700))))
_SAID = re.compile(
    r"(?<![A-Za-z0-9_-])(?:[A-Za-z0-9.()\[\]{}-]{1,330} dot ){0,4}"
    r"[A-Za-z0-9.()\[\]{}-]{1,330}(?: (?:d|do|dot|dot )?)?\Z",
    re.IGNORECASE,
)
_LONGEST, _LONGEST_SAID = 2100, 640
_AFTER = 8


class Links:
    """`allowed`: host names; what is under them is allowed too."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = frozenset(host.lower().strip(".") for host in allowed)

    def scan(self, window: Window) -> Scan:
        view = window.plain
        start = view.index(window.start)
        text = view.text
        open_from = len(text) if window.final else max(start, min(_open_word(text), _open_said(text)))
        found = list(self._find(text, start)) if _has_sign(text, start) else []
        if found and not window.final:
            open_from = min(open_from, *(each.start() for each in found if each.end() > len(text) - _AFTER), open_from)
        reason = "a link to a host that is not allowed"
        matches = [Match(view.origin(each.start()), view.end(each.end()), CATEGORY, reason=reason) for each in found]
        return Scan(matches, view.origin(open_from))

    def _find(self, text: str, start: int) -> Iterator[re.Match[str]]:
        match = _LINK.search(text, start)
        while match:
            bad = not self._is_allowed(match["full"] or match["bare"] or match["said"])
            if bad:
                yield match
            match = _LINK.search(text, match.end() if bad else match.start() + 1)

    def _is_allowed(self, authority: str) -> bool:
        host = host_of(authority)
        labels = host.split(".")
        return any(".".join(labels[at:]) in self._allowed for at in range(len(labels)))


def host_of(authority: str) -> str:
    """The host that a browser would go to, in lower case: without user and port, its dots and letters decoded."""
    plain = re.sub(r"[\[({](?:\.|dot)[\])}]| dot ", ".", unquote(authority), flags=re.IGNORECASE)
    host = plain.rpartition("@")[2]
    return re.sub(r":\d*$", "", host).lower().strip(".")


def _has_sign(text: str, start: int) -> bool:
    lower = text.lower()
    marked = any(map(lower.__contains__, _MARKS)) or _DOTTED.search(text, start)
    return bool(marked and _SIGN.search(text, start))


def _open_word(text: str) -> int:
    """Where the characters that may stand in a link begin, of those that the text ends with."""
    return max(len(text.rstrip(_CHARACTERS)), len(text) - _LONGEST)


def _open_said(text: str) -> int:
    """Where a host begins whose dots are said."""
    lowest = max(len(text) - _LONGEST_SAID, 0)
    if not text.endswith(" ") and " d" not in text[lowest:].lower():
        return len(text)
    found = _SAID.search(text, lowest)
    return found.start() if found else len(text)
