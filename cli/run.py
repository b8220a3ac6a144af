"""`headworks run`: the group, and what lists and ends runs."""

from typing import Any

import click

from cli.run_decide import decide
from cli.run_explain import explain
from cli.run_watch import start, watch
from cli.target import Target, on_mesh

STATES = ("running", "waiting", "succeeded", "failed", "cancelled")


@click.group()
def run() -> None:
    """Start, watch, explain, decide, cancel and list runs.

    \b
    Examples:
      headworks run start analyst "What is 17 * 23?"
      headworks run watch run_0123
      headworks run explain run_0123
      headworks run list --state waiting
      headworks run decide run_0123 --yes
    """


for verb in (start, watch, explain, decide):
    run.add_command(verb)


@run.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Runs at most.")
@click.option("--state", type=click.Choice(STATES), help="Only runs in this state.")
@click.option("--session", default="", help="Only runs of this session.")
@on_mesh(30)
def list_(limit: int, state: str | None, session: str, on: Target) -> None:
    """List the runs, the newest first.

    \b
    Examples:
      headworks run list --limit 5
      headworks run list --state waiting --json | jq -r '.runs[].id'
    """
    from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
    from headworks.orchestrator.v1 import run_pb2

    from cli.client import utf8
    from cli.output import print_json, table, wide

    value = run_pb2.Run.State.Value(f"STATE_{(state or 'unspecified').upper()}")
    request = pb.ListRunsRequest(page_size=limit, state=value, session_id=utf8(session, "the session"))
    with on.calling() as client:
        response = client.orchestrator.ListRuns(request, **on.options(client))
    found = [_run(run) for run in response.runs]
    if on.as_json:
        print_json({"runs": found})
        return
    columns = ("run", "model", "collection", "state", "ended by", "started", "seconds", "waits for")
    rows = ((one["id"], one["model"], one["collection"], one["state"], one["finish_reason"], one["create_time"],
             one["seconds"], " ".join(one["pending_approvals"])) for one in found)  # fmt: skip
    wide().print(table(columns, rows, right=("seconds",)))


@run.command()
@click.argument("run_id")
@on_mesh(30)
def show(run_id: str, on: Target) -> None:
    """Show the run RUN_ID: its state, its usage, what it waits for.

    \b
    Example:
      headworks run show run_0123
    """
    from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

    from cli.client import utf8

    with on.calling() as client:
        response = client.orchestrator.GetRun(pb.GetRunRequest(run_id=utf8(run_id, "the run")), **on.options(client))
    _show(_run(response.run), on.as_json)


@run.command()
@click.argument("run_id")
@on_mesh(30)
def cancel(run_id: str, on: Target) -> None:
    """End the run RUN_ID. One that is over already is left as it is.

    \b
    Example:
      headworks run cancel run_0123
    """
    from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

    from cli.client import utf8

    with on.calling() as client:
        response = client.orchestrator.Cancel(pb.CancelRequest(run_id=utf8(run_id, "the run")), **on.options(client))
    _show(_run(response.run), on.as_json)


def _show(run: dict[str, Any], as_json: bool) -> None:
    from cli.output import print_json, table, wide

    if as_json:
        print_json(run)
    else:
        rows = ((name, " ".join(value) if isinstance(value, list) else value) for name, value in run.items())
        wide().print(table(("", ""), rows))


def _run(run: Any) -> dict[str, Any]:
    from headworks.orchestrator.v1 import run_pb2

    from cli.answers import word

    ended = run.HasField("end_time")
    seconds = (run.end_time.ToDatetime() - run.create_time.ToDatetime()).total_seconds() if ended else None
    return {
        "id": run.id,
        "model": run.model,
        "agent_version": run.agent_version,
        "collection": run.collection,
        "session_id": run.session_id,
        "state": word(run_pb2.Run.State.Name(run.state), "STATE_"),
        "finish_reason": word(run_pb2.FinishReason.Name(run.finish_reason), "FINISH_REASON_") if ended else "",
        "last_sequence": run.last_sequence,
        "create_time": run.create_time.ToJsonString(),
        "seconds": round(seconds, 3) if seconds is not None else "",
        "prompt_tokens": run.usage.prompt_tokens,
        "completion_tokens": run.usage.completion_tokens,
        "cached_tokens": run.usage.cached_tokens,
        "cost": run.usage.cost_nanos / 1e9,
        "pending_approvals": list(run.pending_approvals),
    }
