"""What the verbs of administrators have in common."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from cli.options import Verb
from cli.target import Target

PAGE = 1000
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
TIME = "google.protobuf.Timestamp"


def tenant_option(verb: Verb) -> Verb:
    return click.option("--tenant", default="", help="The tenant; by default the key's own.")(verb)


def yes_option(verb: Verb) -> Verb:
    return click.option("--yes", is_flag=True, help="Do not ask.")(verb)


class Span(click.ParamType[Any]):
    """A length of time: 30m, 24h, 90d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,9})([smhd])", value)
        if found is None:
            self.fail(f"{value!r} is no length of time: write 30m, 24h or 90d", param, ctx)
        return timedelta(seconds=int(found[1]) * UNITS[found[2]])


class Moment(click.ParamType[Any]):
    """A day or a time in UTC: 2026-11-20, 2026-11-20T08:00:00."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time: write 2026-11-20 or 2026-11-20T08:00:00", param, ctx)
        return moment.replace(tzinfo=moment.tzinfo or UTC)


def between_options(verb: Verb) -> Verb:
    """--since and --until."""
    verb = click.option("--until", type=Moment(), help="Before this day or time, in UTC; by default now.")(verb)
    return click.option("--since", type=Moment(), help="From this day or time on, in UTC.")(verb)


def asked(request: Any, given: Mapping[str, Any]) -> Any:
    """The request with the options that were given."""
    for name, value in given.items():
        if isinstance(value, datetime):
            getattr(request, name).FromDatetime(value)
        elif value:
            setattr(request, name, value)
    return request


def every(method: Callable[..., Any], request: Any, field: str, options: Any) -> Iterator[Any]:
    """What the method lists in `field`, page after page."""
    request.page_size = PAGE
    while True:
        page = method(request, **options)
        yield from getattr(page, field)
        request.page_token = page.next_page_token
        if not request.page_token:
            return


def facts(message: Any) -> dict[str, Any]:
    """The message for JSON and for tables: times as text or None, enums as words, all else as it is."""
    return {field.name: _fact(message, field) for field in message.DESCRIPTOR.fields}


def _fact(message: Any, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.message_type is not None:
        if field.is_repeated:
            return dict(value) if field.message_type.GetOptions().map_entry else [facts(one) for one in value]
        if not message.HasField(field.name):
            return None
        return value.ToJsonString() if field.message_type.full_name == TIME else facts(value)
    if field.is_repeated:
        return list(value)
    if field.enum_type is not None:
        return _word(field, value)
    return None if field.has_presence and not message.HasField(field.name) else value


def _word(field: Any, value: int) -> str:
    """STATE_ACTIVE as "active"; empty for what is not said."""
    names = field.enum_type.values_by_number
    prefix = names[0].name.removesuffix("UNSPECIFIED")
    return str(names[value].name).removeprefix(prefix).lower() if value and value in names else ""


def show_all(on: Target, name: str, found: Sequence[dict[str, Any]], columns: Sequence[str], none: str) -> None:
    """A list: JSON under `name`, a table of `columns`, or `none` where there is nothing."""
    from cli.output import print_json, table, wide

    if on.as_json:
        print_json({name: found})
    elif not found:
        click.echo(none)
    else:
        right = [column for column in columns if isinstance(found[0][column], int)]
        heads = [column.replace("_", " ") for column in columns]
        rows = ([_cell(one[column]) for column in columns] for one in found)
        wide().print(table(heads, rows, right=[column.replace("_", " ") for column in right]))


def show_one(on: Target, found: dict[str, Any]) -> None:
    """One thing: JSON, or its facts below each other."""
    from cli.output import print_json, table, wide

    if on.as_json:
        print_json(found)
    else:
        wide().print(table(("", ""), ((key.replace("_", " "), _cell(value)) for key, value in found.items() if value)))


def done(on: Target, said: str, **told: Any) -> None:
    """That something is done: `told` for programs, `said` for people."""
    from cli.output import print_json

    if on.as_json:
        print_json(told)
    else:
        click.echo(said)


def confirm(on: Target, question: str, yes: bool) -> None:
    """Ask before what cannot be undone, where somebody is there to answer. Raises click.Abort."""
    if not yes and not on.as_json:
        click.confirm(question, abort=True)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return (
        "" if value is None else f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    )
