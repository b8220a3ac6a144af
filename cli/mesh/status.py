"""`headworks status`: the processes of a mesh and the memory that they hold."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import psutil

from cli.errors import FAILURE
from cli.options import data_option, json_option
from cli.output import console, print_json, table_of

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from infra.local.state import MeshState, ProcessState

STYLES = {"running": "yellow", "starting": "yellow", "waiting": "dim", "restarting": "red", "stopping": "yellow"}


@click.command()
@data_option
@json_option
def status(data: Path | None, as_json: bool) -> int:
    """Show each process of the mesh: ready or why not, restarts, memory, address.

    Exits with 0 when all are ready, 1 otherwise.

    \b
    Examples:
      headworks status
      headworks status --json | jq '.processes[] | select(.ready | not)'
    """
    from cli.edge import find_data
    from infra.local.layout import Layout
    from infra.local.state import running

    folder = find_data(data)
    state = running(Layout(folder))
    if state is None:
        if as_json:
            print_json({"running": False, "data": str(folder)})
        else:
            click.echo(f"not running: no mesh on {folder}. Start one with `headworks up`.")
        return FAILURE
    if as_json:
        print_json({"running": True, "data": str(folder), **_with_memory(state)})
    else:
        out = console()
        out.print(mesh_table(state, out.width))
    return 0 if state.ready else FAILURE


def _with_memory(state: "MeshState") -> dict[str, Any]:
    from infra.local.state import to_json

    values = to_json(state)
    for process in values["processes"]:
        process["memory_bytes"] = resident(process["pid"])
    own = resident(state.pid, children=False)
    total = own + sum(process["memory_bytes"] for process in values["processes"])
    return values | {"supervisor_memory_bytes": own, "memory_bytes": total}


def mesh_table(state: "MeshState", width: int) -> "RenderableType":
    """The processes as they stand, with the memory that they hold now, in `width` characters."""
    from rich.console import Group
    from rich.text import Text

    memory = [resident(process.pid) for process in state.processes]
    own = resident(state.pid, children=False)
    rows: list[tuple[str | Text, ...]] = [_row(*each) for each in zip(state.processes, memory, strict=True)]
    how = ": ".join(filter(None, (state.phase, state.trouble)))
    rows.append(("supervisor", Text(how, style="red" if state.trouble else ""), "", mebibytes(own), ""))
    table, _ = table_of(("process", "state", "restarts", "memory", "address"), rows, width)
    return Group(Text(f"{state.edge}  ·  {state.phase}"), table, Text(f"{mebibytes(sum(memory) + own)} in all"))


def mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB" if size else ""


def _row(process: "ProcessState", memory: int) -> "tuple[str | Text, ...]":
    from rich.text import Text

    reason = "" if process.reason == process.state else process.reason
    if process.ready and process.state == "running":
        state = Text("ready", style="green")
    else:
        state = Text(": ".join(filter(None, (process.state, reason))), style=STYLES.get(process.state, "yellow"))
    restarts = str(process.restarts) if process.restarts else ""
    return process.name, state, restarts, mebibytes(memory), _address(process.address)


def _address(address: str) -> str:
    """A port; of a Unix socket its name: where it is, the data directory says."""
    return f"unix:{Path(address).name}" if address.startswith("unix:") else address


def resident(pid: int | None, children: bool = True) -> int:
    """Resident bytes of the process, its descendants included unless excluded; 0 where it is gone.

    Pages that several of them share count once for each.
    """
    if not pid:
        return 0
    try:
        process = psutil.Process(pid)
        family = [process, *(process.children(recursive=True) if children else [])]
    except psutil.Error:
        return 0
    return sum(_resident_of(member) for member in family)


def _resident_of(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
