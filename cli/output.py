"""How results are printed: tables for people, JSON for programs."""

import io
import json
import os
import re
import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from cli.brief import ago, short
from cli.options import MeshOptions
from services.runtime.language.markdown import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

QUOTE = 160
# Of tables: the space between two columns, how few columns there are at least, how wide a text may be before it is
# wrapped, how wide a table is where nobody watches.
GAP, FEWEST, NARROW, UNBROKEN = 2, 2, 24, 100_000
_PARTS = re.compile(r"\s+|\S+")
# What a terminal would obey rather than show: control characters, and those that turn the direction of what follows.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
DEGRADED = "degraded: the embedding model is gone, and the search went by words alone"
NOT_RERANKED = "not reranked: the mesh serves no reranker, or it did not answer"


def json_text(value: object, indent: int | None = None) -> str:
    """JSON whose characters all go to standard output: as they are, or escaped where it takes no others, or where a
    terminal would obey them."""
    text = json.dumps(value, ensure_ascii=not is_unicode(sys.stdout), indent=indent)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def print_json(value: object) -> None:
    click.echo(json_text(value, indent=1))


def is_unicode(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").replace("_", "").startswith("utf")


def take_any_text(*streams: TextIO) -> None:
    """Have streams of another encoding than Unicode's write "?" for what it has not."""
    for stream in streams:
        if not is_unicode(stream) and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def print_list(
    on: MeshOptions,
    name: str,
    rows: Sequence[dict[str, Any]],
    columns: Sequence[str] | Mapping[str, str],
    none: str = "",
    first: Sequence[str] = (),
) -> None:
    """Rows: JSON under `name`, a table, or `none` where there are none. `columns` are the keys to print, or the heads
    of the columns with their keys; those of `first` stay where there is no room for all, see table_of."""
    if on.as_json:
        print_json({name: rows})
    elif none and not rows:
        click.echo(none)
    else:
        heads = columns if isinstance(columns, Mapping) else {column.replace("_", " "): column for column in columns}
        print_table(heads, [[brief(key, row[key]) for key in heads.values()] for row in rows], first)


def brief(key: str, value: object) -> object:
    """A value as a list has it: ids and methods short, times by how long ago they were."""
    if not isinstance(value, str):
        return value
    return ago(value) if is_time(key) else short(value)


def is_time(key: str) -> bool:
    return key == "time" or key.endswith("_time")


def print_record(on: MeshOptions, record: dict[str, Any]) -> None:
    """One record: JSON, or its fields that are set, below each other."""
    if on.as_json:
        print_json(record)
    else:
        shown = [
            (key, f"{ago(value)} ({value})" if is_time(key) else cell(value)) for key, value in record.items() if value
        ]
        print_table(("", ""), [(key.replace("_", " "), value) for key, value in shown])


def print_done(on: MeshOptions, text: str, **record: Any) -> None:
    """What was done: `record` for programs, `text` for people."""
    if on.as_json:
        print_json(record)
    else:
        click.echo(text)


def shortcomings(degraded: bool, not_reranked: bool) -> list[str]:
    """What a search had to do without, in words."""
    return [note for note, there in ((DEGRADED, degraded), (NOT_RERANKED, not_reranked)) if there]


def warn(text: str) -> None:
    """A line on standard error, as of all that is no result."""
    click.echo(f"headworks: {visible(text)}", err=True)


def print_table(columns: Iterable[str], rows: Sequence[Sequence[object]], first: Sequence[str] = ()) -> None:
    """A plain table that fits the terminal, and unbroken where nobody watches."""
    out = console()
    table, left_out = table_of(list(columns), rows, out.width, first)
    out.print(table)
    if left_out:
        put(console(stderr=True), f"(left out: {', '.join(left_out)}; a wider terminal and --json have them)")


def table_of(
    columns: Sequence[str], rows: "Sequence[Sequence[object | Text]]", width: int, first: Sequence[str] = ()
) -> "tuple[Table, list[str]]":
    """A table of `width` characters at most, and the heads of the columns that are left out for it.

    Columns that are empty are no columns. Where there is no room, those at the end go; with `first`, the heads of the
    columns by their importance, each that has room stays, and then of the others. Columns of numbers are set to the
    right. Longer texts are wrapped at words, all else is left whole.
    """
    from rich.table import Table
    from rich.text import Text

    texts = [[value if isinstance(value, Text) else Text(cell(value)) for value in row] for row in rows]
    shown = [at for at in range(len(columns)) if not rows or any(row[at].plain for row in texts)]
    least = {at: _least([row[at].plain for row in texts], columns[at]) for at in shown}
    kept = _with_room(least, [*(columns.index(head) for head in first), *range(len(columns))], width, bool(first))
    left_out = [columns[at] for at in shown if at not in kept]
    shown = [at for at in shown if at in kept]
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for at in shown:
        number = columns[at] and any(isinstance(row[at], int | float) for row in rows)
        whole = least[at] >= max(map(len, [columns[at], *(row[at].plain for row in texts)]))
        table.add_column(
            Text(columns[at]), justify="right" if number else "left", overflow="fold",
            min_width=min(least[at], width), no_wrap=whole and least[at] <= width,
        )  # fmt: skip
    for row in texts:
        table.add_row(*(row[at] for at in shown))
    return table, left_out


def _with_room(least: Mapping[int, int], order: Iterable[int], width: int, later: bool) -> set[int]:
    """Which columns there is room for, by how wide each is at least, the most important one first. `later`: also after
    one that there is no room for."""
    kept: set[int] = set()
    for at in dict.fromkeys(order):
        if at not in least:
            continue
        if len(kept) < FEWEST or sum(least[one] + GAP for one in (*kept, at)) <= width + GAP:
            kept.add(at)
        elif not later:
            break
    return kept


def _least(values: Iterable[str], head: str) -> int:
    """The width that a column needs: a text of words can be wrapped, and an id cannot."""
    from rich.cells import cell_len

    longest = 0
    for value in values:
        whole = cell_len(value)
        words = max(map(cell_len, value.split()), default=0)
        longest = max(longest, whole if whole <= NARROW else max(words, NARROW))
    return max(longest, cell_len(head))


def cell(value: object) -> str:
    """A value as a table has it: 1,234; empty for None."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else visible(str(value))


def visible(text: str) -> str:
    """The text without characters that a terminal would obey."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def console(*, stderr: bool = False) -> "Console":
    """Where text goes as it is: nothing in it is taken for markup, an emoji's name or a number to color. A terminal's
    lines are wrapped at words; where nobody watches they are left whole."""
    from rich.console import Console

    # Where there is no color, bold and dim are none either.
    styles: Any = None if os.environ.get("NO_COLOR") else "auto"
    out = Console(highlight=False, markup=False, emoji=False, stderr=stderr, color_system=styles)
    if not out.is_terminal:
        out.soft_wrap, out.width = True, UNBROKEN
    return out


def put(out: "Console", text: str, *, style: str | None = None, first: int = 0, indent: int = 0) -> None:
    """Print a paragraph; its first line begins behind `first` characters that are there already, the others at
    `indent`."""
    from rich.text import Text

    text = visible(text)
    if not out.is_terminal:
        out.print(text if first else " " * indent + text, style=style)
        return
    width = max(out.width - indent, NARROW)
    lines = Text(text, style=style or "").wrap(out, width) if text else [Text()]
    for number, line in enumerate(lines):
        line.rstrip()
        out.print(line if first and not number else Text(" " * indent) + line, no_wrap=True, overflow="ignore")


class Flow:
    """Text that comes in pieces, written as it comes; on a terminal words that do not fit go to the next line. The last
    column stays empty: a terminal that is written full begins a line by itself, and the next one would be a blank.

    However it is left, what came is out, and its line is ended."""

    def __init__(self, out: "Console", indent: int = 0) -> None:
        self._out = out
        self._full = max(out.width, NARROW + indent) if out.is_terminal else 0
        self._indent = indent
        self._at = 0  # behind the indent
        self._parts: deque[str] = deque()  # words and spaces, each taken out as it is written: Ctrl-C loses no other
        self._word = ""
        self._spaces = ""
        self._open = indent > 0  # the line that it is on

    def __enter__(self) -> "Flow":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, text: str) -> None:
        """A word goes out once it is known to be whole, and spaces once a word stands behind them on the line."""
        text = visible(text)
        if not self._full:
            self._put(text)
            return
        self._parts.extend(_PARTS.findall(text))
        self._take()

    def close(self) -> None:
        """Write what is held back, and end the line. What is written after that begins a new one."""
        self._take()
        self._end_word()
        if self._open:
            self._put("\n")
        self._at, self._spaces = 0, ""

    def _take(self) -> None:
        while self._parts:
            if self._parts[0].isspace():
                self._end_word()
                self._space(self._parts.popleft())
            else:
                self._word += self._parts.popleft()

    def _space(self, space: str) -> None:
        for line in space.splitlines(keepends=True):
            if line.endswith(("\n", "\r")):
                self._break()
            else:
                self._spaces += line

    def _end_word(self) -> None:
        from rich.cells import cell_len

        if not self._word:
            return
        room, length = self._full - self._indent - 1, cell_len(self._word)
        if self._at and self._at + len(self._spaces) + length > room:
            self._break()
        before = self._spaces if len(self._spaces) + length <= room or self._at else ""
        word, self._word, self._spaces = self._word, "", ""
        self._put(before + word)
        self._at += len(before) + length
        if self._at > room:  # a word that is longer than a line, which the terminal breaks
            self._at = (self._indent + self._at - 1) % self._full + 1 - self._indent

    def _break(self) -> None:
        self._put("\n" + " " * self._indent)
        self._at, self._spaces = 0, ""

    def _put(self, text: str) -> None:
        if text:
            self._open = not text.endswith("\n")
            # Not by way of the console, which writes what Ctrl-C broke off a second time.
            self._out.file.write(text)
            self._out.file.flush()


def print_citations(citations: Iterable[Mapping[str, Any]]) -> None:
    """Numbered sources, each with its document, its place in it and the quote."""
    out, sources = console(), list(citations)
    if sources:
        out.print("\nSources", style="bold")
    for number, source in enumerate(sources, 1):
        title = "" if source["title"] in ("", source["document_id"]) else f"{source['title']} · "
        span = source["span"]
        page = f", page {source['page']}" if source.get("page") else ""
        place = f"{title}{source['document_id']}{page}, characters {span['start']}-{span['end']}"
        out.print(f" [{number}]", end=" ")
        put(out, place, first=5, indent=5)
        put(out, f"“{shorten(plain(source['quote']))}”", style="dim", indent=5)


def timings_ms(timings: Iterable[Any]) -> dict[str, float]:
    """What each hop took in milliseconds, by its name, of HopTiming messages."""
    return {timing.hop: round(timing.duration.ToTimedelta().total_seconds() * 1000, 2) for timing in timings}


def print_timings(timings: Mapping[str, float]) -> None:
    """What each hop took, from the outside in; each includes the ones below it, except the edge."""
    if timings:
        console().print("\nLatency", style="bold")
        print_table(("hop", "ms"), [(hop, round(took, 1)) for hop, took in timings.items()])


def cost(nanos: int) -> str:
    """A price in the catalogue's currency."""
    return f"{nanos / 1e9:.9f}".rstrip("0").rstrip(".")


def shorten(text: str, most: int = QUOTE) -> str:
    """One line of at most `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
