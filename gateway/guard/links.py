"""Links to hosts that are not allowed, however they are written: without a scheme, with dots spelled out, encoded, or
as only a browser or a renderer of Markdown reads them."""

import re
from collections.abc import Collection, Iterator

from gateway.guard.detector import Match, Scan, Window
from gateway.guard.markup import Rendered, closing, open_attribute
from gateway.guard.names import is_code
from gateway.guard.normalize import PLAIN
from gateway.guard.urls import LONGEST_AUTHORITY, hosts

CATEGORY = "HOST"
_DOT = r"(?:\.|[\[({](?:\.|dot)[\])}])"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# Those of which a name without a scheme is taken for a host.
_TLD = (
    r"(?:com|net|org|info|biz|io|co|ai|app|dev|me|xyz|top|site|online|shop|club|icu|link|click|page|cloud|tech|live"
    r"|space|store|website|zip|mov|ru|cn|de|fr|uk|us|eu|in|jp|br|it|es|nl|pl|ch|tk|cc|su|to|ly|gg)"
)
_EDGE = r"(?<![A-Za-z0-9_/\\=&?#@.:%\u00c0-\u06ff-])"
_BARE = rf"(?:{_LABEL}{_DOT}){{1,8}}{_TLD}(?![A-Za-z0-9@-])(?!{_DOT}[A-Za-z0-9])"
_SPOKEN = (
    rf"(?!(?:the|an?|this|that|any|every) dot )(?:{_LABEL}{_DOT}){{0,4}}(?:{_LABEL} dot ){{1,4}}{_TLD}(?![A-Za-z0-9-])"
)
# What a host is read from: as long as no browser says that it has ended.
_IN_RUN = r"[^\s/\\?#<>\"`\x00-\x20]"
_RUN = rf"(?:{_IN_RUN}|\\(?=[^\w\s/\\?#<>\"`])){{1,{LONGEST_AUTHORITY}}}"
_PATH = re.compile(r"(?:[/\\?#][!#-&*-;=?-\[\]-_a-z|~]{0,1000}(?<![.,;:!?]))?", re.IGNORECASE)
# Where only an address can stand: in Markdown's brackets and angles, and in attributes.
_PLACE = r"(?:(?<=\]\()|(?<=\]\(<)|(?<=\]\( )|(?<=\]: )|(?<=\]: <)|(?<==[\"'])|(?<==\\[\"'])|(?<==))"
_SLASH = r"(?:\\?[/\\])"
_COLON = r"\\?(?::|\[:\])"
_SPECIAL = rf"(?<![A-Za-z0-9])(?:h(?:tt|xx)ps?|ftp|wss?){_COLON}"
_NAMED = rf"(?={_IN_RUN}{{1,253}}?(?:\.[A-Za-z0-9\x80-\U0010ffff]|[\[({{](?:\.|dot)[\])}}]|%2e))"
_HEADS = (
    rf"{_SPECIAL}{_SLASH}{{1,6}}",
    rf"{_SPECIAL}{_NAMED}",
    rf"{_PLACE}(?:h(?:tt|xx)ps?|ftp|wss?){_COLON}",
    r"(?<![A-Za-z0-9])file:(?:/{4,6}|(?=/{0,3}\\)[/\\]{2,8}(?!\?))(?![A-Za-z][:|])",
    rf"{_PLACE}{_SLASH}{{2,6}}",
    rf"(?<![A-Za-z0-9:/\\])//{_NAMED}",
    rf"(?<![A-Za-z0-9:/\\])[/\\]{{2,6}}(?={_BARE})",
    r"(?<![A-Za-z0-9])mailto:[^\s@/\\?#<>\"`]{0,64}@",
    r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{0,30}://(?![/\\])",
)
_HEAD = "|".join(_HEADS)
# Addresses that are a program or a page themselves.
_PROGRAM = (
    r"(?<![A-Za-z0-9:.+-])(?:(?:java|vb)script:(?=\S)|data:(?:text/(?:html|xml|javascript)|image/svg|application/(?:x|java))"
    r")[^\s<>\"`]{0,1000}"
)
_LINK = re.compile(rf"(?:{_HEAD})(?P<run>{_RUN})|{_PROGRAM}", re.IGNORECASE)
_NAME = re.compile(rf"{_EDGE}(?:{_BARE}|{_SPOKEN})", re.IGNORECASE)
# What every link but a mere name has, and what may stand before it.
_SEPARATOR = re.compile(r":(?=\S)|[/\\](?=[/\\])")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}[\\\[]?\Z")
_LONGEST_SCHEME = 32
# What may become a link with what follows.
_OPEN_RUN = re.compile(
    rf"(?:(?:h(?:tt|xx)ps?|ftp|wss?|file|mailto){_COLON}|[A-Za-z][A-Za-z0-9+.-]{{0,30}}://|[/\\]{{2}})[/\\]{{0,8}}(?:[^/\\?#\s<]|\\(?=[^\w\s/\\?#<>\"`]))"
    rf"{{0,{LONGEST_AUTHORITY}}}\Z",
    re.IGNORECASE,
)
_SIGN = re.compile(r"//|\\\\|:[/\\]|\.\w|[\[({](?:\.|dot)[\])}]| dot |%2e", re.IGNORECASE)
# Of these every sign of a name has one, in lower case.
_MARKS = ("//", "\\", ":/", "[.", "(.", "{.", "dot", "%2e")
_DOTTED = re.compile(r"\.\w")
_CHARACTERS = "".join(map(chr, (*range(0x21, 0x7F), *range(0xC0, 0x700))))
_SAID = re.compile(
    r"(?<![A-Za-z0-9_-])(?:[A-Za-z0-9.()\[\]{}-]{1,330} dot ){0,4}"
    r"[A-Za-z0-9.()\[\]{}-]{1,330}(?: (?:d|do|dot|dot )?)?\Z",
    re.IGNORECASE,
)
# What only some readers take for the end of an authority, and what may be a host behind an `@` of it.
_ENDING = "<>\"'` "
_REST = re.compile(rf"[^/\\?#\s<]{{0,{LONGEST_AUTHORITY}}}")
_REST_OF_VALUE = re.compile(rf"[^/\\?#]{{0,{LONGEST_AUTHORITY}}}")
_BEHIND_AT = re.compile(r"@([^@/\\?#\s<>\"'`]+)")
_ANGLE = re.compile(r"[<>\n]")
_NAMED_HOST = re.compile(r"[.\[]|%2e|\A(?:0x[0-9a-f]+|\d{4,})\Z", re.IGNORECASE)
_MOST_HOSTS = 8
# Look like what ends an authority, but end it for no browser.
_APPARENT = re.compile(
    "[\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u2044\u207b\u2047-\u2049\u2100-\u2106\u2215\u29f8"
    "\u3000\ufe56\ufe5f\ufe68\uff03\uff0f\uff1f\uff3c]"
)
_LONGEST, _LONGEST_SAID = 2100, 640
_AFTER = 8


class Links:
    """`allowed`: host names; what is under them is allowed too."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = frozenset(host.lower().strip(".") for host in allowed)

    def scan(self, window: Window) -> Scan:
        view = Rendered(window.plain)
        start = view.index(window.start)
        text = view.text
        open_from = len(text) if window.final else max(start, _open_from(text))
        found = list(self._find(text, start))
        written = _as_written(view, window)
        if written is not None:
            if not window.final:
                open_from = min(open_from, max(start, _open_from(written)))
            behind_at = [span for span in self._find(written, start) if "@" in written[slice(*span)]]
            found = _together(found, behind_at)
        if found and not window.final:
            open_from = min(open_from, *(first for first, end in found if end > len(text) - _AFTER), open_from)
        matches = [
            Match(view.origin(first), view.end(end), CATEGORY, reason="a link to a host that is not allowed")
            for first, end in found
        ]
        return Scan(matches, view.origin(open_from))

    def _find(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        """From left to right, none within another."""
        name, link = _first_name(text, start), _first_link(text, start)
        while name or link:
            match = link if name is None or (link and link.start() <= name.start()) else name
            assert match is not None  # noqa: S101 - one of them is there
            end = self._bad_until(text, match)
            if end:
                yield match.start(), end
            after = end or match.start() + 1
            if name and name.start() < after:
                name = _NAME.search(text, after)
            if link and link.start() < after:
                link = _first_link(text, after)

    def _bad_until(self, text: str, match: re.Match[str]) -> int:
        """Where a link ends that leads to a host that is not allowed; 0 for another."""
        named, run = match.re is _NAME, "" if match.re is _NAME else match["run"]
        if not named and not run:
            return match.end()
        if named and is_code(text, match.start(), match.end()):
            return 0
        address = _closed(text, match.start(), run) if run else match[0].replace(" dot ", ".").replace(" DOT ", ".")
        ends = [host.end for host in hosts(address) if not self._is_allowed(host.name)]
        if run and len(address) == len(run) and "@" in text:
            ends += self._bad_beyond(text, match.start(), match.start("run"), match.end("run"))
        if not ends:
            return 0
        path = _PATH.match(text, match.start("run") + max(ends) if run else match.end())
        return path.end() if path else match.end()

    def _bad_beyond(self, text: str, start: int, run: int, end: int) -> Iterator[int]:
        """Where hosts end, from the run's start on, that are not allowed and stand behind the `@` of an authority that
        the run is not all of, to a reader to whom no quote, angle or space ends it."""
        if end == len(text) or not (text[end] in _ENDING or text[end].isspace()):
            return
        close = closing(text, start)
        rest = (_REST_OF_VALUE if close else _REST).match(text, end, run + LONGEST_AUTHORITY)
        if not rest or "@" not in rest[0]:
            return
        said = _value(text, start, rest[0], close)
        names: set[str] = set()
        for behind in _BEHIND_AT.finditer(said):
            name = behind[1]
            if name in names or not (close or _NAMED_HOST.search(name)):
                continue
            names.add(name)
            if len(names) > _MOST_HOSTS or any(not self._is_allowed(host.name) for host in hosts(name)):
                yield end - run + behind.end()

    def _is_allowed(self, host: str) -> bool:
        labels = host.split(".")
        return any(".".join(labels[at:]) in self._allowed for at in range(len(labels)))


def _closed(text: str, start: int, run: str) -> str:
    """What is read as an address of what may be one: not what is behind the quote or bracket that it stands in."""
    if text[start - 1 : start] == "'":
        return run.partition("'")[0]
    return _in_brackets(run) if _is_in_brackets(text, start) else run


def _is_in_brackets(text: str, start: int) -> bool:
    return text[max(start - 3, 0) : start].rstrip("< ").endswith("](")


def _in_brackets(run: str) -> str:
    depth = 0
    for at, character in enumerate(run):
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return run[:at]
    return run


def _value(text: str, start: int, rest: str, close: str) -> str:
    """Of what follows a link's beginning what is of the same value: not what is behind the quote or bracket that it
    stands in."""
    before = text[start - 1 : start]
    if not close and before and before in "\"'`<":
        close = ">" if before == "<" else before
    if close == ">":
        return _ANGLE.split(rest, maxsplit=1)[0]
    if close:
        return rest.partition(close)[0]
    return _in_brackets(rest) if _is_in_brackets(text, start) else rest


def _as_written(view: Rendered, window: Window) -> str | None:
    """The text as a browser reads its separators; None where that makes no difference."""
    text = window.read.text
    if text.isascii() or not _APPARENT.search(text) or (window.final and "@" not in text):
        return None
    return view.as_written(PLAIN.aligned(text)) if _has_separator(view.text) else None


def _together(found: list[tuple[int, int]], others: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """In order, one for those that overlap."""
    spans: list[tuple[int, int]] = []
    for start, end in sorted([*found, *others]):
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def _first_name(text: str, start: int) -> re.Match[str] | None:
    lower = text.lower()
    if not any(map(lower.__contains__, _MARKS)) and not _DOTTED.search(text, start):
        return None
    return _NAME.search(text, start) if _SIGN.search(text, start) else None


def _first_link(text: str, start: int) -> re.Match[str] | None:
    """The first link from `start` on that is more than a name."""
    if not _has_separator(text):
        return None
    for separator in _SEPARATOR.finditer(text, start):
        for first in _beginnings(text, start, separator.start()):
            if link := _LINK.match(text, first):
                return link
    return None


def _has_separator(text: str) -> bool:
    return ":" in text or "//" in text or "\\" in text


def _beginnings(text: str, start: int, separator: int) -> Iterator[int]:
    """Where a link may begin that has its separator there."""
    if text[separator] != ":":
        yield separator
    elif scheme := _SCHEME.search(text, max(start, separator - _LONGEST_SCHEME), separator):
        yield scheme.start()
        last = max(map(scheme[0].rfind, "+.-"))
        if last >= 0:
            yield scheme.start() + last + 1


def _open_from(text: str) -> int:
    return min(_open_word(text), _open_said(text), open_attribute(text), _open_run(text))


def _open_word(text: str) -> int:
    """Where the characters that may stand in a link begin, of those that the text ends with."""
    return max(len(text.rstrip(_CHARACTERS)), len(text) - _LONGEST)


def _open_run(text: str) -> int:
    """Where an address begins whose host has not ended, in a script without spaces between words."""
    tail = text[-_LONGEST:]
    if not _has_separator(tail):
        return len(text)
    word = tail.rstrip(_CHARACTERS)
    if not word or word[-1].isspace():
        return len(text)
    stretch = len(tail) - len(tail.split()[-1])
    found = _OPEN_RUN.search(tail, stretch) if _SEPARATOR.search(tail, stretch) else None
    return len(text) - len(tail) + found.start() if found else len(text)


def _open_said(text: str) -> int:
    """Where a host begins whose dots are said."""
    lowest = max(len(text) - _LONGEST_SAID, 0)
    if not text.endswith(" ") and " d" not in text[lowest:].lower():
        return len(text)
    found = _SAID.search(text, lowest)
    return found.start() if found else len(text)
