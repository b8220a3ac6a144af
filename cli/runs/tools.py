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
    """
    from services.orchestrator.tools.config import BadToolSettings, load

    try:
        settings = load(file, os.environ)
    except BadToolSettings as error:
        raise CliError(str(error)) from None
    counts = {"databases": settings.databases, "MCP servers": settings.mcp, "gRPC targets": settings.grpc}
    click.echo(f"{file} is right: " + ", ".join(f"{len(found)} {what}" for what, found in counts.items()))
