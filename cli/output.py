"""How results are printed."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

QUOTE = 160


def print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=1))


def console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def table(columns: Iterable[str], rows: Iterable[Iterable[object]], right: Iterable[str] = ()) -> Table:
    """A plain table; the columns in `right` are set to the right."""
    made, right = Table(box=None, pad_edge=False, header_style="bold"), set(right)
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))
    return made


def wide() -> Console:
    """A console that does not break the lines of a table where nobody watches."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=200)


def print_citations(citations: Iterable[Mapping[str, Any]]) -> None:
    """Numbered sources, each with its document, its place in it and the quote."""
    out, shown = console(), list(citations)
    if shown:
        out.print("\nSources", style="bold")
    for number, one in enumerate(shown, 1):
        title = "" if one["title"] in ("", one["document_id"]) else f"{one['title']} · "
        span = one["span"]
        place = f"{title}{one['document_id']}, characters {span['start']}-{span['end']}"
        out.print(f" [{number}] {place}", markup=False)
        out.print(f"     “{shorten(one['quote'])}”", style="dim", markup=False)


def print_timings(timings: Mapping[str, float]) -> None:
    """What each hop took, from the outside in; each includes the ones below it, except the edge."""
    if not timings:
        return
    console().print("\nLatency", style="bold")
    wide().print(table(("hop", "ms"), ((hop, f"{took:.1f}") for hop, took in timings.items()), right=("ms",)))


def shorten(text: str, most: int = QUOTE) -> str:
    """One line of at most `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
