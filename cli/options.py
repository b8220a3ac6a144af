"""The options that the verbs share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Verb = Callable[..., Any]
DATA_DEFAULT = Path(".headworks")


def data_option(verb: Verb) -> Verb:
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="HEADWORKS_DATA",
        help="Data directory of the mesh; by default .headworks here or in a folder above.",
    )(verb)


def json_option(verb: Verb) -> Verb:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(verb)


CA_META = "headworks.ca"


def _keep_ca(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    context.meta[CA_META] = value


def given_ca() -> Path | None:
    """--ca of the verb that runs."""
    context = click.get_current_context(silent=True)
    found: Path | None = context.meta.get(CA_META) if context else None
    return found


def mesh_options(verb: Verb) -> Verb:
    """--data, --edge, --ca, --key, --json: for verbs that talk to the mesh. --ca is for `given_ca` alone."""
    verb = json_option(verb)
    verb = click.option(
        "--key", envvar="HEADWORKS_KEY", help="API key; by default the development key of the data directory."
    )(verb)
    verb = click.option(
        "--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path), envvar="HEADWORKS_CA", expose_value=False,
        callback=_keep_ca, help="PEM file of the CA of an edge with https; by default the running mesh's.",
    )(verb)  # fmt: skip
    verb = click.option(
        "--edge", envvar="HEADWORKS_EDGE", help="Address of the edge, http://HOST:PORT; by default the running mesh's."
    )(verb)
    return data_option(verb)


def collection_option(verb: Verb) -> Verb:
    return click.option("--collection", default="default", show_default=True, help="The collection.")(verb)


def read_option(verb: Verb) -> Verb:
    """--collection for verbs that run an agent, which has one of its own to read."""
    return click.option("--collection", default="", help="The collection to read; by default the agent's own.")(verb)


def timeout_option(seconds: float) -> Callable[[Verb], Verb]:
    return click.option(
        "--timeout", type=click.FloatRange(min=0.1), default=seconds, show_default=True, help="Longest wait in seconds."
    )
