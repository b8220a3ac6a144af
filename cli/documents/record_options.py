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
        "record_text",
        multiple=True,
        metavar="PATH",
        help="Of --kind records: where the text is, such as fields.body; may be repeated.",
    )
    @click.option("--record-title", "record_title", default="", metavar="PATH", help="Where the title is.")
    @click.option(
        "--record-id",
        "record_identity",
        default="",
        metavar="PATH",
        help="Where the id is; by default records go by their number.",
    )
    @click.option(
        "--record-meta",
        "record_pairs",
        multiple=True,
        metavar="KEY=PATH",
        help="A label, and where its value is; may be repeated.",
    )
    @click.option(
        "--record-list",
        "record_listed",
        default="",
        metavar="PATH",
        help="Where the list of records is; by default the file is one.",
    )
    @click.option(
        "--record-format",
        "record_form",
        type=click.Choice(FORMATS),
        default="txt",
        show_default=True,
        help="What the text is.",
    )
    @wraps(verb)
    def with_records(
        record_text: tuple[str, ...], record_title: str, record_identity: str, record_pairs: tuple[str, ...],
        record_listed: str, record_form: str, **others: Any,
    ) -> int:  # fmt: skip
        others["records"] = None
        if record_text:
            from cli.documents.sources.records import RecordPaths, media_type_of

            others["records"] = RecordPaths(
                record_text, record_title, record_identity, _labels(record_pairs), record_listed,
                media_type_of(record_form),
            )  # fmt: skip
        elif record_title or record_identity or record_pairs or record_listed:
            raise CliError("say where a record's text is: --record-text PATH", USAGE)
        return verb(**others)

    return with_records


def _labels(pairs: tuple[str, ...]) -> dict[str, str]:
    from cli.documents.labels import BadLabels, parse_labels

    try:
        return parse_labels(pairs)
    except BadLabels as error:
        raise CliError(f"--record-meta: {error}", USAGE) from None
