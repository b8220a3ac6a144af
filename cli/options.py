"""The options that the verbs share, and the mesh that they name."""

import functools
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click
from click.core import ParameterSource

from cli.errors import USAGE, CliError
from cli.interrupt import Interrupt

if TYPE_CHECKING:
    from cli.client import Client

Verb = Callable[..., Any]
DATA_DEFAULT = Path(".headworks")
CA_META = "headworks.ca"
GROUP_META = "headworks.group"
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class MeshOptions:
    """Which mesh a verb calls, how long it waits, and how it prints."""

    META: ClassVar[str] = "headworks.mesh"

    data: Path | None
    edge: str | None
    key: str | None
    timeout: float
    as_json: bool
    interrupt: Interrupt = field(default_factory=Interrupt)

    def client(self) -> "AbstractContextManager[Client]":
        """A client of the mesh, whose failed calls end the command. Raises CliError."""
        with self.interrupt.held():
            from cli.client import connect
        from cli.edge import find_edge

        return connect(find_edge(self.data, self.edge, self.key), self.timeout, self.interrupt)


class GroupOption(click.Option):
    """An option that may stand before a group's verb too, as in `collections --data DIR documents NAME`: what is given
    there goes before a variable's value, what the verb itself is given before both."""

    def consume_value(self, ctx: click.Context, opts: Mapping[str, click.Parameter]) -> tuple[Any, ParameterSource]:
        value, source = super().consume_value(ctx, opts)
        given: dict[str | None, Any] = ctx.meta.setdefault(GROUP_META, {})
        if source is ParameterSource.COMMANDLINE:
            given[self.name] = value
        elif self.name in given:
            return given[self.name], ParameterSource.COMMANDLINE
        return value, source


def on_mesh(seconds: float) -> Callable[[Verb], Verb]:
    """--data, --edge, --ca, --key, --json and --timeout, `seconds` by default, passed to the verb as `on`."""

    def decorate(verb: Verb) -> Verb:
        @functools.wraps(verb)
        def wrapped(
            *args: Any,
            data: Path | None,
            edge: str | None,
            key: str | None,
            timeout: float,
            as_json: bool,
            **kwargs: Any,
        ) -> Any:
            on = MeshOptions(data, edge, key, timeout, as_json)
            click.get_current_context().meta[MeshOptions.META] = on
            with on.interrupt:
                return verb(*args, on=on, **kwargs)

        return _timeout_option(seconds)(_mesh_options(wrapped))

    return decorate


def _mesh_options(verb: Verb) -> Verb:
    verb = json_option(verb)
    verb = click.option(
        "--key",
        cls=GroupOption,
        envvar="HEADWORKS_KEY",
        help="API key; by default the development key of the data directory. Other accounts can read command lines: "
        "better set HEADWORKS_KEY.",
    )(verb)
    verb = click.option(
        "--ca", cls=GroupOption, type=click.Path(exists=True, dir_okay=False, path_type=Path), envvar="HEADWORKS_CA",
        expose_value=False, callback=_store_ca,
        help="PEM file of the CA of an edge with https; by default the running mesh's.",
    )(verb)  # fmt: skip
    verb = click.option(
        "--edge",
        cls=GroupOption,
        envvar="HEADWORKS_EDGE",
        help="Address of the edge, http://HOST:PORT; by default the running mesh's.",
    )(verb)
    return data_option(verb)


def _timeout_option(seconds: float) -> Callable[[Verb], Verb]:
    return click.option(
        "--timeout",
        cls=GroupOption,
        type=click.FloatRange(min=0.1),
        default=seconds,
        show_default=True,
        help="Longest wait in seconds.",
    )


def _store_ca(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    context.meta[CA_META] = value


def ca_option() -> Path | None:
    """--ca of the verb that runs."""
    context = click.get_current_context(silent=True)
    path: Path | None = context.meta.get(CA_META) if context else None
    return path


def data_option(verb: Verb) -> Verb:
    return click.option(
        "--data",
        cls=GroupOption,
        type=click.Path(file_okay=False, path_type=Path),
        envvar="HEADWORKS_DATA",
        help="Data directory of the mesh; by default .headworks here or in a folder above.",
    )(verb)


def timings_option(verb: Verb) -> Verb:
    return click.option("--timings", is_flag=True, help="Print what each hop took, too; --json always has it.")(verb)


def json_option(verb: Verb) -> Verb:
    return click.option("--json", "as_json", cls=GroupOption, is_flag=True, help="Print JSON for programs.")(verb)


def collection_option(verb: Verb) -> Verb:
    return click.option("--collection", default="default", show_default=True, help="The collection.")(verb)


def read_option(verb: Verb) -> Verb:
    """--collection for verbs that run an agent, which has one of its own to read."""
    return click.option("--collection", default="", help="The collection to read; by default the agent's own.")(verb)


def tenant_option(verb: Verb) -> Verb:
    return click.option("--tenant", default="", help="The tenant; by default the key's own.")(verb)


def yes_option(verb: Verb) -> Verb:
    return click.option("--yes", is_flag=True, help="Do not ask.")(verb)


def some_model(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """The value of --llm. Raises CliError where it is empty, as a variable is that is not set."""
    if value is not None and not value.strip():
        raise CliError("--llm names no model: leave it out to serve none", USAGE)
    return value


def confirm(on: MeshOptions, question: str, yes: bool) -> None:
    """Ask before what cannot be undone, where somebody is there to answer. Raises click.Abort, and CliError where the
    answer is no."""
    if not yes and not on.as_json:
        agreed(question)


def agreed(question: str) -> None:
    """Ask. Raises click.Abort, and CliError where the answer is no."""
    if not click.confirm(question):
        raise CliError("nothing was changed or deleted")


class TimeSpan(click.ParamType[Any]):
    """A length of time: 30m, 24h, 90d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d{1,9})([smhd])", value)
        if match is None:
            self.fail(f"{value!r} is no length of time: write 30m, 24h or 90d", param, ctx)
        return timedelta(seconds=int(match[1]) * SECONDS[match[2]])


class TimePoint(click.ParamType[Any]):
    """A day or a time in UTC: 2026-11-20, 2026-11-20T08:00:00."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            point = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time: write 2026-11-20 or 2026-11-20T08:00:00", param, ctx)
        return point.replace(tzinfo=point.tzinfo or UTC)


def between_options(verb: Verb) -> Verb:
    """--since and --until."""
    verb = click.option("--until", type=TimePoint(), help="Before this day or time, in UTC; by default now.")(verb)
    return click.option("--since", type=TimePoint(), help="From this day or time on, in UTC.")(verb)
