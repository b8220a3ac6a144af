"""The table of a mesh's processes, for `up` and `status`."""

from rich.table import Table
from rich.text import Text

from cli.memory import resident
from infra.local.state import MeshState, ProcessState

STYLES = {"running": "green", "starting": "yellow", "waiting": "dim", "restarting": "red", "stopping": "yellow"}


def mesh_table(state: MeshState) -> Table:
    """The processes as they stand, with the memory that they hold now."""
    table = Table(title=f"{state.edge}  ·  {state.phase}", title_justify="left", expand=False)
    for name in ("process", "state", "ready", "restarts", "memory", "address"):
        table.add_column(name, justify="right" if name in ("restarts", "memory") else "left", overflow="fold")
    total = 0
    for process in state.processes:
        memory = resident(process.pid)
        total += memory
        table.add_row(*_row(process, memory))
    own = resident(state.pid, children=False)
    table.add_row("supervisor", Text(state.phase), "", "", mebibytes(own), "")
    table.caption = f"{mebibytes(total + own)} in all"
    return table


def mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB" if size else ""


def _row(process: ProcessState, memory: int) -> tuple[str | Text, ...]:
    ready = Text("ready", style="green") if process.ready else Text(process.reason or "no", style="yellow")
    state = Text(process.state, style=STYLES.get(process.state, ""))
    return process.name, state, ready, str(process.restarts), mebibytes(memory), process.address
