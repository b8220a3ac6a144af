"""`headworks tools`."""

import os
from pathlib import Path

import click

from cli.errors import CliError


@click.group()
def tools() -> None:
    """Look after the file that says what agents' tools may reach.

    \b
    Example:
      headworks tools check tools.yaml
    """


@tools.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Check a FILE of tool settings without a mesh: every fault is named by its line and field.

    Variables that it names are those of this process. No database, server or target is asked.

    \b
    Example:
      headworks tools check tools.yaml
    """
    from services.orchestrator.tools.config import BadToolSettings, load

    try:
        settings = load(file, os.environ)
    except BadToolSettings as error:
        raise CliError(str(error)) from None
    counts = (
        (len(settings.databases), "databases"),
        (len(settings.mcp), "MCP servers"),
        (len(settings.grpc), "targets"),
    )
    click.echo(f"{file} is right: {', '.join(f'{count} {what}' for count, what in counts)}")
