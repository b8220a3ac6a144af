"""An issue of a tracker as a document, and Jira's markup as HTML."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby

KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,50}-\d{1,12}")
_CODE = re.compile(r"\{(code|noformat)(?::[^}]*)?\}(.*?)\{\1\}", re.DOTALL)
_MACRO = re.compile(r"\{(?:quote|panel|color)(?::[^}]*)?\}")
_HEADING = re.compile(r"h([1-6])\.\s+(.*)")
_ITEM = re.compile(r"\s*[*#-]+\s+(.*)")
# Within a line: {{code}}, [words|address], [address], [~person] or [^file], *bold* and _emphasis_.
_INLINE = re.compile(
    r"\{\{(?P<code>[^}\n]{1,500})\}\}"
    r"|\[(?P<words>[^\[\]|\n]+)\|(?P<address>(?:https?:|ftp:|mailto:|file:|[#^~])[^\[\]|\s]*)(?:\|[^\[\]\n]*)?\]"
    r"|\[(?P<bare>(?:https?:|ftp:|mailto:)[^\[\]|\s]+)\]"
    r"|\[[~^](?P<named>[^\[\]|\n]+)\]"
    r"|(?<![\w*/.:-])\*(?P<bold>(?![\s*])[^*\n]*[^\s*])\*(?![\w*])"
    r"|(?<![\w/.:-])_(?P<emphasis>(?![\s_])[^_\n]*[^\s_])_(?!\w)"
)
_BAR = re.compile(r"\|(?![^\[\]]{0,500}\])")
"""Between cells, not within a link."""


@dataclass(frozen=True, slots=True)
class Issue:
    """`description` and `comments` are HTML, the latter each with who wrote it; `comments_absent` are not in the
    export. `labels` that are empty are none."""

    key: str
    summary: str
    description: str = ""
    comments: Sequence[tuple[str, str]] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    link: str = ""
    comments_absent: int = 0

    @property
    def title(self) -> str:
        return f"{self.key}: {self.summary}"[:1000]

    @property
    def html(self) -> str:
        """The issue as a page."""
        parts = [f"<h1>{escape(self.title)}</h1>", self.description]
        for author, body in self.comments:
            parts += [f"<h2>{escape(f'Comment by {author}' if author else 'Comment')}</h2>", body]
        return "\n".join(part for part in parts if part)


def present(labels: Mapping[str, str | None]) -> dict[str, str]:
    """The labels that say something, without what is too long."""
    return {key: value.strip() for key, value in labels.items() if value and value.strip() and len(value) <= 1024}


def joined(values: Iterable[str]) -> str:
    return ", ".join(value.strip() for value in values if value.strip())


def markup_to_html(text: str) -> str:
    """Jira's wiki markup: headings, lists, tables, code, links, bold and emphasis; the rest as paragraphs."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    parts: list[str] = []
    at = 0
    for code in _CODE.finditer(text):
        parts += [_blocks(text[at : code.start()]), f"<pre>{escape(code[2].strip(chr(10)))}</pre>"]
        at = code.end()
    return "\n".join(part for part in (*parts, _blocks(text[at:])) if part)


def _blocks(text: str) -> str:
    lines = [_MACRO.sub("", line).rstrip() for line in text.split("\n")]
    return "\n".join(_block(kind, list(group)) for kind, group in groupby(lines, _kind) if kind)


def _kind(line: str) -> str:
    if not line.strip():
        return ""
    if _HEADING.fullmatch(line):
        return "h"
    if line.startswith("|"):
        return "table"
    return "ul" if _ITEM.fullmatch(line) else "p"


def _block(kind: str, lines: list[str]) -> str:
    if kind == "h":
        headings = [match for line in lines if (match := _HEADING.fullmatch(line))]
        return "\n".join(f"<h{match[1]}>{_inline(match[2])}</h{match[1]}>" for match in headings)
    if kind == "table":
        return f"<table>{''.join(map(_row, lines))}</table>"
    if kind == "ul":
        items = [match for line in lines if (match := _ITEM.fullmatch(line))]
        return f"<ul>{''.join(f'<li>{_inline(match[1])}</li>' for match in items)}</ul>"
    return f"<p>{'<br>'.join(map(_inline, lines))}</p>"


def _row(line: str) -> str:
    head = line.startswith("||")
    inner = line.strip().strip("|")
    cells = [cell.strip() for cell in (inner.split("||") if head else _BAR.split(inner))]
    name = "th" if head else "td"
    return f"<tr>{''.join(f'<{name}>{_inline(cell)}</{name}>' for cell in cells)}</tr>"


def _inline(text: str) -> str:
    """The text of a line, with what marks words in it."""
    parts: list[str] = []
    at = 0
    for mark in _INLINE.finditer(text):
        parts += [escape(text[at : mark.start()]), _marked(mark)]
        at = mark.end()
    return "".join((*parts, escape(text[at:])))


def _marked(mark: re.Match[str]) -> str:
    if mark["code"]:
        return f"<code>{escape(mark['code'])}</code>"
    if mark["words"]:
        address, words = mark["address"], _inline(mark["words"])
        return words if address[0] in "#^~" else f'<a href="{escape(address)}">{words}</a>'
    if mark["bold"]:
        return f"<b>{_inline(mark['bold'])}</b>"
    if mark["emphasis"]:
        return f"<em>{_inline(mark['emphasis'])}</em>"
    return escape(mark["bare"] or mark["named"])
