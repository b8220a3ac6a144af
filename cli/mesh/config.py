"""`headworks config`."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.errors import USAGE, CliError
from cli.options import data_option, json_option
from cli.output import GAP, console, print_json, print_table, put

if TYPE_CHECKING:
    from cli.mesh.settings import Setting

COLUMNS = {"setting": "variable", "value": "value", "source": "source"}
HEAD = """# Configuration

Every setting of every service. A setting is taken from its environment variable, else from the TOML file that
`HEADWORKS_CONFIG` (or `headworks up --config`) names, where each service has a table with the lower-case names, else
from what `headworks up` sets for a local mesh (addresses, keys, folders below the data directory), else it has its
default. `headworks config` prints the effective values, each with its source.

A table or a key of the file that is none of these is refused, with the nearest name, before anything starts. A variable
that begins with `HEADWORKS_` and is none of these has no effect: `headworks up`, `headworks config` and each service
warn of it, with the nearest name.

```toml
[gateway]
log_level = "debug"

[control]
max_body_bytes = 8388608
```

This page is made by `headworks config --markdown`.
"""


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
    from cli.mesh.settings import CLASSES, settings_of

    unknown = [name for name in services if name not in CLASSES]
    if unknown:
        raise CliError(f"there is no service {unknown[0]!r}; there are: {', '.join(CLASSES)}", USAGE)
    names = services or tuple(CLASSES)
    if markdown:
        click.echo(reference([(name, settings_of(name)) for name in names]), nl=False)
        return
    local = _set_by_up(file, data)
    settings = [asdict(setting) for name in names for setting in settings_of(name, local.get(name))]
    if as_json:
        print_json({"settings": settings})
    else:
        _print(settings)


def _print(settings: Sequence[dict[str, str]]) -> None:
    """A table, or where that is too wide a paragraph for each setting: no value and no source is left out."""
    out = console()
    rows = [[setting[key] for key in COLUMNS.values()] for setting in settings]
    widths = [max(len(row[at]) for row in [*rows, list(COLUMNS)]) for at in range(len(COLUMNS))]
    if sum(widths) + GAP * len(widths) <= out.width or not out.is_terminal:
        print_table(COLUMNS, rows)
        return
    for variable, value, source in rows:
        put(out, variable)
        put(out, f"{value or '(empty)'} (from {source})", indent=GAP)


def _set_by_up(file: Path | None, data: Path | None) -> dict[str, dict[str, str]]:
    """What the supervisor would set for each service, in lower case."""
    from cli.edge import find_data
    from cli.mesh.settings import check_settings
    from infra.local.layout import Layout
    from infra.local.mesh import NEEDS, local_settings
    from infra.local.options import BadOptions, make_options
    from services.runtime.settings import CONFIG_FILE_VARIABLE

    folder = find_data(data)
    try:
        options = make_options(folder, None, {}, file, os.environ)
    except BadOptions as error:
        raise CliError(str(error), USAGE) from None
    if file is not None:
        os.environ[CONFIG_FILE_VARIABLE] = options.env[CONFIG_FILE_VARIABLE]
    check_settings(options.tables)
    by_service = {service: local_settings(options, Layout(folder), service) for service in NEEDS}
    return {service: {name.lower(): value for name, value in own.items() if options.given(service, name) is None}
            for service, own in by_service.items()}  # fmt: skip


def reference(services: Iterable[tuple[str, Sequence["Setting"]]]) -> str:
    """The page: a table for each service."""
    return HEAD + "".join(_table(service, settings) for service, settings in services)


def _table(service: str, settings: Sequence["Setting"]) -> str:
    lines = [
        f"\n## {service}\n",
        "| Environment variable | In the file | Default | Meaning |",
        "| --- | --- | --- | --- |",
    ]
    for one in settings:
        default = f"`{_cell(one.default)}`" if one.default else "—"
        lines.append(f"| `{one.variable}` | `{one.name}` | {default} | {_cell(one.description)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
