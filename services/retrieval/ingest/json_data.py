"""Reads JSON and JSON lines: a short object of a list is read as a table's row, a longer one under its title.

Within a row and as fields, names lead to values by dots: `price.amount: 100`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest.blocks import Extract, Kind
from services.retrieval.ingest.html import line_of, read_page
from services.retrieval.ingest.omissions import omissions
from services.retrieval.ingest.outline import Outline, Row
from services.retrieval.ingest.plain import write_plain
from services.retrieval.ingest.text import decode

MOST_RECORDS = 100_000
MOST_DEPTH = 64
LONGEST_ROW = 800
LONGEST_VALUE = 300
"""A longer text is no value of a row."""
LONGEST_WORD = 1000
"""A longer text without a space is none for people."""
_DEEPEST_HEADING = 6
_TOO_DEEP = f"its values are nested more than {MOST_DEPTH} deep"
# A text that is HTML from its start to its end.
_HTML = re.compile(
    r"\s*<(?:p|div|span|h[1-6]|[uo]l|dl|table|section|article|html|body|b|strong|i|em|a|pre|br)[\s/>]", re.IGNORECASE
)
_HTML_END = re.compile(r"(?:</[a-zA-Z][a-zA-Z\d]{0,15}|<br\s*/?)\s*>\s*\Z")
_LONGEST_END = 40
# Numbers that a float would not keep as they are written.
_LITERALS = re.compile(r"\d[.eE][-+\d]|\d{19}")
_LONGEST_INTEGER = 18
# What a record is called by, the best first; and texts that need no name before them.
_TITLES = ("title", "name", "heading", "subject", "question", "label", "id", "key")
_TEXTS = frozenset(
    ("text", "body", "content", "description", "answer", "summary", "abstract", "message", "page_content")
)

Field = tuple[str, str]


def read_json(data: bytes) -> Extract:
    """Raises DocumentUnreadable, EncodingUnknown."""
    text = decode(data)
    try:
        value = _parsed(text.text)
    except orjson.JSONDecodeError as error:
        raise DocumentUnreadable(f"it is no valid JSON: {str(error)[:200]}") from error
    writer = _Writer()
    writer.value(value)
    title = _title(value)[1] if isinstance(value, dict) else ""
    return Extract(title, writer.outline.blocks, encoding=text.encoding, warnings=writer.warnings())


def read_json_lines(data: bytes) -> Extract:
    """Raises DocumentUnreadable where no line is JSON, EncodingUnknown."""
    text = decode(data)
    records: list[Any] = []
    broken = 0
    for line in text.text.split("\n"):
        if line.strip():
            try:
                records.append(_parsed(line))
            except orjson.JSONDecodeError:
                broken += 1
    if broken > len(records):
        raise DocumentUnreadable(f"{broken} of its {broken + len(records)} lines are no valid JSON")
    writer = _Writer()
    writer.value(records)
    warnings = omissions((broken, "no valid JSON: {} line(s)"))
    return Extract("", writer.outline.blocks, encoding=text.encoding, warnings=[*warnings, *writer.warnings()])


class _Literal(str):
    """A number as it is written, such as 499.90."""


def _parsed(text: str) -> Any:
    """The value that a text is, numbers with a fraction or many digits as they are written. Raises JSONDecodeError."""
    value = orjson.loads(text)
    if not _LITERALS.search(text):
        return value
    del value
    try:
        return json.loads(text, parse_float=_Literal, parse_int=_integer)  # of what orjson took: no NaN, no surrogates
    except RecursionError as error:
        raise DocumentUnreadable(_TOO_DEEP) from error


def _integer(digits: str) -> int | _Literal:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else _Literal(digits)


class _Writer:
    """Writes values into an outline."""

    def __init__(self) -> None:
        self.outline = Outline()
        self._records = self._left = self._unread = 0

    def value(self, value: Any, level: int = 1) -> None:
        """What stands under a heading of the level above."""
        match value:
            case dict():
                self._object(value, level)
            case list():
                self._list(value, level)
            case _:
                self._text(_scalar(value))

    def warnings(self) -> list[str]:
        """What was left out."""
        return omissions(
            (self._left, f"not read: {{}} record(s) behind the first {MOST_RECORDS:,}"),
            (self._unread, "not read: {} value(s) that people cannot read"),
        )

    def _object(self, value: Mapping[str, Any], level: int) -> None:
        """Its own values first, then what is nested, each under its name."""
        nested = {key: each for key, each in value.items() if _is_nested(each) and level < _DEEPEST_HEADING}
        self._fields([field for key, each in value.items() if key not in nested for field in _fields(key, each)])
        for key, each in nested.items():
            self.outline.heading(level, key)
            self.value(each, level + 1)

    def _list(self, values: Sequence[Any], level: int) -> None:
        """Runs of short records are tables."""
        rows: list[Row] = []
        for value in values:
            if self._records >= MOST_RECORDS:
                self._left += 1
                continue
            self._records += 1
            fields = self._readable(list(_fields("", value)))
            if _is_row(fields):
                rows.append(_row(fields))
                continue
            self._table(rows)
            rows = []
            self._record(value, fields, level)
        self._table(rows)

    def _table(self, rows: list[Row]) -> None:
        if rows:
            self.outline.rows(rows)

    def _record(self, value: Any, fields: list[Field], level: int) -> None:
        key, title = _title(value) if isinstance(value, dict) else ("", "")
        if title:
            self.outline.heading(min(level, _DEEPEST_HEADING), title)
        self._fields([field for field in fields if field[0] != key])

    def _fields(self, fields: list[Field]) -> None:
        for name, text in self._readable(fields):
            if not name or name.rpartition(".")[2].lower() in _TEXTS:
                self._text(text)
            else:
                self.outline.open_definition(name)
                self.outline.write(_in_line(text))
                self.outline.close()

    def _text(self, text: str) -> None:
        if not _is_html(text):
            write_plain(text, self.outline)
            return
        for block in read_page(text).blocks:
            is_heading = block.kind is Kind.HEADING  # it would stand above the next field, too
            self.outline.blocks.append(replace(block, kind=Kind.TEXT, quoted=True) if is_heading else block)

    def _readable(self, fields: list[Field]) -> list[Field]:
        """Without what is encoded, such as pictures."""
        kept = [field for field in fields if len(field[1]) <= LONGEST_WORD or " " in field[1][:LONGEST_WORD]]
        self._unread += len(fields) - len(kept)
        return kept


def _is_nested(value: Any) -> bool:
    """Whether a value stands under a heading of its own: objects, and lists of them."""
    return (isinstance(value, dict) and bool(value)) or (isinstance(value, list) and any(map(_is_nested, value)))


def _fields(path: str, value: Any, depth: int = 0) -> Iterator[Field]:
    """The plain values within a value, each with the names that lead to it. Raises DocumentUnreadable."""
    if depth > MOST_DEPTH:
        raise DocumentUnreadable(_TOO_DEEP)
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _fields(f"{path}.{key}" if path else key, each, depth + 1)
    elif isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        for each in value:
            yield from _fields(path, each, depth + 1)
    else:
        text = ", ".join(map(_scalar, value)) if isinstance(value, list) else _scalar(value)
        if text:
            yield path, text


def _scalar(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case str():
            return value.strip()
        case _:
            return str(value)


def _title(value: Mapping[str, Any]) -> Field:
    """The field by which an object is called; empty for none."""
    for name in _TITLES:
        for key, each in value.items():
            if key.lower() == name and _is_name(each) and 0 < len(title := _scalar(each)) <= LONGEST_VALUE:
                return key, " ".join(_in_line(title).split())
    return "", ""


def _is_html(text: str) -> bool:
    return _HTML.match(text) is not None and _HTML_END.search(text[-_LONGEST_END:]) is not None


def _in_line(text: str) -> str:
    """A text as it is; HTML's without its tags."""
    return line_of(text) if _is_html(text) else text


def _is_name(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, _Literal)


def _is_row(fields: Sequence[Field]) -> bool:
    short = all(len(text) <= LONGEST_VALUE and "\n" not in text for _, text in fields)
    return short and sum(len(name) + len(text) + 4 for name, text in fields) <= LONGEST_ROW


def _row(fields: Sequence[Field]) -> Row:
    if not fields:
        return Row("", "")
    texts = [f"{name}: {_in_line(text)}" if name else _in_line(text) for name, text in fields]
    return Row("; ".join(texts), texts[0])
