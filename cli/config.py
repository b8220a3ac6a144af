"""`headworks config`."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.errors import USAGE, CliError
from cli.options import data_option, json_option

if TYPE_CHECKING:
    from cli.registry import Setting


@click.command()
@click.argument("services", nargs=-1, metavar="[SERVICE…]")
@click.option(
    "--config", "file", type=click.Path(dir_okay=False, path_type=Path), help="TOML file with settings, as for `up`."
)
@click.option("--markdown", is_flag=True, help="Print the reference of all settings as Markdown instead.")
@data_option
@json_option
def config(services: tuple[str, ...], file: Path | None, markdown: bool, data: Path | None, as_json: bool) -> None:
    """Print the effective settings of every service (or of those named), each with where it comes from.

    A setting is taken from its environment variable, else from the TOML file that --config or HEADWORKS_CONFIG
    names, else from what `headworks up` sets for a local mesh, else it has its default. Secrets are masked.

    \b
    Examples:
      headworks config retrieval
      HEADWORKS_GATEWAY_LOG_LEVEL=debug headworks config --json
      headworks config --markdown > docs/configuration.md
    """
    from cli.registry import CLASSES, settings_of

    unknown = [name for name in services if name not in CLASSES]
    if unknown:
        raise CliError(f"there is no service {unknown[0]!r}; there are: {', '.join(CLASSES)}", USAGE)
    wanted = services or tuple(CLASSES)
    if markdown:
        from cli.reference import reference

        click.echo(reference([(name, settings_of(name)) for name in wanted]), nl=False)
        return
    told = _told_by_up(file, data)
    _print([setting for name in wanted for setting in settings_of(name, told.get(name))], as_json)


def _told_by_up(file: Path | None, data: Path | None) -> dict[str, dict[str, str]]:
    """What the supervisor would tell each service, in lower case."""
    from cli.find import find_data
    from infra.local.layout import Layout
    from infra.local.mesh import NEEDS, told
    from infra.local.options import BadOptions, make_options
    from services.runtime.settings import CONFIG_FILE_VARIABLE

    folder = find_data(data)
    try:
        options = make_options(folder, None, {}, file, os.environ)
    except BadOptions as error:
        raise CliError(str(error), USAGE) from None
    if file is not None:
        os.environ[CONFIG_FILE_VARIABLE] = options.env[CONFIG_FILE_VARIABLE]
    by_service = {service: told(options, Layout(folder), service) for service in NEEDS}
    return {service: {name.lower(): value for name, value in own.items() if options.given(service, name) is None}
            for service, own in by_service.items()}  # fmt: skip


def _print(settings: Iterable["Setting"], as_json: bool) -> None:
    from dataclasses import asdict

    from cli.output import print_json, table, wide

    found = list(settings)
    if as_json:
        print_json({"settings": [asdict(setting) for setting in found]})
        return
    rows = ((one.variable, one.value, one.source) for one in found)
    wide().print(table(("setting", "value", "source"), rows))
