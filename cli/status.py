"""`headworks status`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.errors import FAILURE
from cli.options import data_option, json_option

if TYPE_CHECKING:
    from infra.local.state import MeshState


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
    from cli.find import find_data
    from cli.output import print_json, wide
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
        from cli.table import mesh_table

        wide().print(mesh_table(state))
    return 0 if state.ready else FAILURE


def _with_memory(state: "MeshState") -> dict[str, Any]:
    from cli.memory import resident
    from infra.local.state import to_json

    values = to_json(state)
    for process in values["processes"]:
        process["memory_bytes"] = resident(process["pid"])
    own = resident(state.pid, children=False)
    total = own + sum(process["memory_bytes"] for process in values["processes"])
    return values | {"supervisor_memory_bytes": own, "memory_bytes": total}
