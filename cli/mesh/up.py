"""`headworks up`."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.errors import INTERRUPTED, USAGE, CliError
from cli.options import DATA_DEFAULT, json_option, some_model
from services.runtime.errors import CANNOT_START

if TYPE_CHECKING:
    from infra.local.options import Options
    from infra.local.supervisor import StartFailed


@click.command()
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), envvar="HEADWORKS_DATA", default=DATA_DEFAULT,
    show_default=True, help="Data directory; made where it is missing.",
)  # fmt: skip
@click.option(
    "--edge-port", type=click.IntRange(1, 65535),
    help="Port of the edge; 8080 by default. The other ports are picked free unless settings name them.",
)  # fmt: skip
@click.option(
    "--llm", metavar="PATH_OR_NAME", envvar="HEADWORKS_MODELS_LLM", callback=some_model,
    help="Language model to serve: smollm2, a small one that `make llm` installs; a folder in Hugging Face form; or a "
    "name on its hub (ORGANISATION/NAME).",
)  # fmt: skip
@click.option(
    "--replicas", default="", metavar="NAME=N,…", help="Replicas of gateway, orchestrator, retrieval, triton, llm."
)
@click.option(
    "--tls", is_flag=False, flag_value="", metavar="[FOLDER]",
    help="Speak TLS at the edge and mutual TLS between the services, with the certificates of a folder that `headworks "
    "certs make` made; without one they are made in the data directory.",
)  # fmt: skip
@click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), help="TOML file with settings, a table per service."
)
@json_option
def up(
    data: Path, edge_port: int | None, llm: str | None, replicas: str, tls: str | None, config: Path | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Start the mesh and keep it running until Ctrl-C. One that was stopped before it was ready ends with 130.

    \b
    Examples:
      headworks up
      headworks up --llm smollm2
      headworks up --llm ~/models/qwen3-0.6b
      headworks up --replicas orchestrator=2,gateway=2
      headworks up --data /srv/other --edge-port 8081
      headworks up --tls
    """
    from cli.mesh.settings import check_settings
    from infra.local.layout import Layout
    from infra.local.models import with_packaged
    from infra.local.options import BadOptions, make_options, parse_replicas
    from services.runtime.settings import CONFIG_FILE_VARIABLE

    if llm:
        os.environ["HEADWORKS_MODELS_LLM"] = llm
    try:
        certificates = None if tls is None else Path(tls) if tls else Layout(data).tls
        options = make_options(data, edge_port, parse_replicas(replicas), config, os.environ, certificates)
        if CONFIG_FILE_VARIABLE in options.env:
            os.environ[CONFIG_FILE_VARIABLE] = options.env[CONFIG_FILE_VARIABLE]
        check_settings(options.tables)
        options = with_packaged(options, lambda text: click.echo(text, err=True))
    except BadOptions as error:
        raise CliError(str(error), USAGE) from None
    return asyncio.run(keep_up(options, as_json))


async def keep_up(options: "Options", as_json: bool) -> int:
    """Start the mesh and keep it until a signal stops it. Raises CliError, also where it was not ready by then."""
    from cli.mesh.screen import make_screen
    from infra.local.layout import Layout
    from infra.local.models import models_settings
    from infra.local.process_host import ProcessHostGone
    from infra.local.session import Refused, mesh
    from infra.local.supervisor import StartFailed, handle_signals

    screen = make_screen(as_json)
    try:
        with screen:
            async with mesh(options, screen.show) as supervisor:
                handle_signals(supervisor)
                ready = await supervisor.start()
                if ready:
                    llm = bool(models_settings(options).llm)
                    screen.ready(Layout(options.data).dev_key, supervisor.state(), llm)
                    await supervisor.keep()
    except (Refused, ProcessHostGone) as error:
        raise CliError(str(error)) from None
    except StartFailed as error:
        raise CliError(describe(error)) from None
    if not ready:
        raise CliError("stopped before the mesh was ready", INTERRUPTED)
    if not as_json:
        print("Stopped.")
    return 0


def describe(error: "StartFailed") -> str:
    """What failed, with the end of its log, unless that is what it says already."""
    if any(CANNOT_START in line for line in error.lines):
        return f"{error.name} did not become ready: {error.reason}\nits log is {error.log}"
    lines = "\n".join(f"  | {line}" for line in error.lines) or "  | (its log is empty)"
    return f"{error.name} did not become ready: {error.reason}\nthe last lines of {error.log}:\n{lines}"
