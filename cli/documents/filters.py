"""--filter: which documents a search or a run reads."""

from collections.abc import Callable, Sequence
from typing import Any

import click
from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from services.runtime.labels import field_of


def filter_option(*names: str) -> Callable[[Any], Any]:
    """--filter, and its other names, passed on as `conditions`."""
    return click.option(
        "--filter", *names, "conditions", multiple=True, metavar="KEY=VALUE",
        help="Only documents whose label KEY has the value (KEY!=VALUE: has not); may be repeated: values of one KEY "
        "are alternatives, different KEYs must all hold. document_id and media_type are KEYs, too.",
    )  # fmt: skip


def make_filter(conditions: Sequence[str]) -> pb.Filter:
    """Raises click.UsageError for what is no condition."""
    must: dict[str, list[str]] = {}
    must_not: dict[str, list[str]] = {}
    for condition in conditions:
        name, equals, value = condition.partition("=")
        key = name.removesuffix("!")
        if not equals or not key or not value:
            raise click.UsageError(f"--filter {condition!r}: write KEY=VALUE or KEY!=VALUE")
        (must if key == name else must_not).setdefault(field_of(key), []).append(value)
    return pb.Filter(must=_conditions(must), must_not=_conditions(must_not))


def _conditions(fields: dict[str, list[str]]) -> list[pb.Condition]:
    return [pb.Condition(field=field, any_of=values) for field, values in fields.items()]
