"""The options that say where in a record its text, title, id and labels are."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from cli.errors import USAGE, CliError

FORMATS = ("txt", "md", "html")


def record_options(verb: Callable[..., int]) -> Callable[..., int]:
    """--record-text, --record-title, --record-id, --record-meta, --record-list and --record-format, as `records`: a
    RecordPaths, or None where none of them is given. Raises CliError."""

    @click.option(
        "--record-text",
        "text",
        multiple=True,
        metavar="PATH",
        help="Of --kind records: where the text is, such as fields.body; may be repeated.",
    )
    @click.option("--record-title", "title", default="", metavar="PATH", help="Where the title is.")
    @click.option(
        "--record-id",
        "identity",
        default="",
        metavar="PATH",
        help="Where the id is; by default records go by their number.",
    )
    @click.option(
        "--record-meta",
        "pairs",
        multiple=True,
        metavar="KEY=PATH",
        help="A label, and where its value is; may be repeated.",
    )
    @click.option(
        "--record-list",
        "listed",
        default="",
        metavar="PATH",
        help="Where the list of records is; by default the file is one.",
    )
    @click.option(
        "--record-format",
        "form",
        type=click.Choice(FORMATS),
        default="txt",
        show_default=True,
        help="What the text is.",
    )
    @wraps(verb)
    def with_records(
        text: tuple[str, ...], title: str, identity: str, pairs: tuple[str, ...], listed: str, form: str, **others: Any
    ) -> int:
        others["records"] = None
        if text:
            from cli.documents.sources.records import RecordPaths, media_type_of

            others["records"] = RecordPaths(text, title, identity, _labels(pairs), listed, media_type_of(form))
        elif title or identity or pairs or listed:
            raise CliError("say where a record's text is: --record-text PATH", USAGE)
        return verb(**others)

    return with_records


def _labels(pairs: tuple[str, ...]) -> dict[str, str]:
    from cli.documents.labels import BadLabels, parse_labels

    try:
        return parse_labels(pairs)
    except BadLabels as error:
        raise CliError(f"--record-meta: {error}", USAGE) from None
