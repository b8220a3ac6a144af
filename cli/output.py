"""How results are printed: tables for people, JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from cli.options import MeshOptions

if TYPE_CHECKING:
    from rich.console import Console

QUOTE = 160
DEGRADED = "degraded: the embedding model is gone, and the search went by words alone"


def print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=1))


def print_list(
    on: MeshOptions,
    name: str,
    rows: Sequence[dict[str, Any]],
    columns: Sequence[str] | Mapping[str, str],
    none: str = "",
) -> None:
    """Rows: JSON under `name`, a table, or `none` where there are none. `columns` are the keys to print, or the heads
    of the columns with their keys."""
    if on.as_json:
        print_json({name: rows})
    elif none and not rows:
        click.echo(none)
    else:
        heads = columns if isinstance(columns, Mapping) else {column.replace("_", " "): column for column in columns}
        print_table(heads, [[row[key] for key in heads.values()] for row in rows])


def print_record(on: MeshOptions, record: dict[str, Any]) -> None:
    """One record: JSON, or its fields that are set, below each other."""
    if on.as_json:
        print_json(record)
    else:
        print_table(("", ""), [(key.replace("_", " "), cell(value)) for key, value in record.items() if value])


def print_done(on: MeshOptions, text: str, **record: Any) -> None:
    """What was done: `record` for programs, `text` for people."""
    if on.as_json:
        print_json(record)
    else:
        click.echo(text)


def print_table(columns: Iterable[str], rows: Sequence[Sequence[object]]) -> None:
    """A plain table, unbroken where nobody watches; a column of numbers is set to the right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for at, name in enumerate(columns):
        number = name and any(isinstance(row[at], int | float) for row in rows)
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    wide().print(table)


def cell(value: object) -> str:
    """A value as a table has it: 1,234; empty for None."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else str(value)


def console() -> "Console":
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def wide() -> "Console":
    """A console that does not break the lines of a table where nobody watches."""
    from rich.console import Console

    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=200)


def print_citations(citations: Iterable[Mapping[str, Any]]) -> None:
    """Numbered sources, each with its document, its place in it and the quote."""
    out, sources = console(), list(citations)
    if sources:
        out.print("\nSources", style="bold")
    for number, source in enumerate(sources, 1):
        title = "" if source["title"] in ("", source["document_id"]) else f"{source['title']} · "
        span = source["span"]
        place = f"{title}{source['document_id']}, characters {span['start']}-{span['end']}"
        out.print(f" [{number}] {place}", markup=False)
        out.print(f"     “{shorten(source['quote'])}”", style="dim", markup=False)


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
