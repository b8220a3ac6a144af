"""Runs a mesh in the foreground and shows it."""

from cli.errors import CliError
from cli.screen import make_screen
from infra.local.layout import Layout
from infra.local.options import Options
from infra.local.session import Refused, mesh
from infra.local.supervisor import StartFailed, handle_signals
from infra.local.wards import WardenGone


async def keep_up(options: Options, as_json: bool) -> int:
    """Start the mesh and keep it until told to stop. Raises CliError."""
    screen = make_screen(as_json)
    try:
        with screen:
            async with mesh(options, screen.show) as supervisor:
                handle_signals(supervisor)
                if await supervisor.start():
                    screen.ready(Layout(options.data).dev_key, supervisor.state())
                    await supervisor.keep()
    except (Refused, WardenGone) as error:
        raise CliError(str(error)) from None
    except StartFailed as error:
        raise CliError(describe(error)) from None
    if not as_json:
        print("Stopped.")
    return 0


def describe(error: StartFailed) -> str:
    """What failed, with the end of its log."""
    lines = "\n".join(f"  | {line}" for line in error.lines) or "  | (its log is empty)"
    return f"{error.name} did not become ready: {error.reason}\nthe last lines of {error.log}:\n{lines}"
