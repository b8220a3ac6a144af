"""`headworks run`: the group, and what lists, shows, decides and ends runs."""

from typing import TYPE_CHECKING, Any

import click
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import run_pb2

from cli.errors import USAGE, CliError
from cli.messages import as_dict, enum_word
from cli.options import MeshOptions, on_mesh
from cli.output import print_done, print_list, print_record
from cli.runs.explain import explain
from cli.runs.find import find_run
from cli.runs.watch import start, watch

if TYPE_CHECKING:
    from cli.client import Client

STATES = ("running", "waiting", "succeeded", "failed", "cancelled")
COLUMNS = {"run": "id", "model": "model", "state": "state", "started": "create_time", "seconds": "seconds",
           "waits for": "pending_approvals", "ended by": "finish_reason", "collection": "collection"}  # fmt: skip


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


for verb in (start, watch, explain):
    run.add_command(verb)


@run.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Runs at most.")
@click.option("--state", type=click.Choice(STATES), help="Only runs in this state.")
@click.option("--session", default="", help="Only runs of this session.")
@on_mesh(30)
def list_(limit: int, state: str | None, session: str, on: MeshOptions) -> None:
    """List the runs, the newest first.

    \b
    Examples:
      headworks run list --limit 5
      headworks run list --state waiting --json | jq -r '.runs[].id'
    """
    value = run_pb2.Run.State.Value(f"STATE_{(state or 'unspecified').upper()}")
    request = pb.ListRunsRequest(page_size=limit, state=value, session_id=session)
    with on.client() as client:
        response = client.orchestrator.ListRuns(request)
    print_list(on, "runs", [_run(message) for message in response.runs], COLUMNS)


@run.command()
@click.argument("run_id")
@on_mesh(30)
def show(run_id: str, on: MeshOptions) -> None:
    """Show the run RUN_ID: its state, its usage, what it waits for.

    \b
    Example:
      headworks run show run_0123
    """
    with on.client() as client:
        response = client.orchestrator.GetRun(pb.GetRunRequest(run_id=find_run(client, run_id)))
    _print(on, _run(response.run))


@run.command()
@click.argument("run_id")
@on_mesh(30)
def cancel(run_id: str, on: MeshOptions) -> None:
    """End the run RUN_ID. One that is over already is left as it is.

    \b
    Example:
      headworks run cancel run_0123
    """
    with on.client() as client:
        response = client.orchestrator.Cancel(pb.CancelRequest(run_id=find_run(client, run_id)))
    _print(on, _run(response.run))


@run.command()
@click.argument("run_id")
@click.argument("approval_id", required=False)
@click.option("--yes/--no", "approved", default=None, help="Approve, or refuse.")
@click.option("--comment", default="", help="Why; the model reads it with a refusal.")
@click.option(
    "--replacement",
    default="",
    help="What to answer instead of the draft, or the JSON arguments to call the tool with; goes with --yes.",
)
@on_mesh(30)
def decide(
    run_id: str, approval_id: str | None, approved: bool | None, comment: str, replacement: str, on: MeshOptions
) -> None:
    """Decide what the run RUN_ID waits for; it goes on at once. Without APPROVAL_ID, the only approval it waits for.

    \b
    Examples:
      headworks run decide run_0123 --yes
      headworks run decide run_0123 apr_1 --no --comment "That is too expensive."
      headworks run decide run_0123 apr_1 --yes --replacement '{"amount": 10}'
    """
    if approved is None:
        raise CliError("say --yes or --no", USAGE)
    if replacement and not approved:
        raise CliError("--replacement is what to approve instead: it goes with --yes", USAGE)
    with on.client() as client:
        run_id = find_run(client, run_id)
        request = pb.DecideRequest(
            run_id=run_id, approval_id=approval_id or _only_approval(client, run_id),
            approved=approved, comment=comment, replacement=replacement,
        )  # fmt: skip
        decision = client.orchestrator.Decide(request).decision
    decided = "Approved" if decision.approved else "Refused"
    print_done(on, f"{decided} {decision.approval_id} of {run_id}.", run_id=run_id, **as_dict(decision))


def _only_approval(client: "Client", run_id: str) -> str:
    """The only approval that the run waits for. Raises CliError where there is none, or more."""
    run = client.orchestrator.GetRun(pb.GetRunRequest(run_id=run_id)).run
    if len(run.pending_approvals) == 1:
        return run.pending_approvals[0]
    if not run.pending_approvals:
        raise CliError(f"{run_id} waits for no approval")
    raise CliError(f"{run_id} waits for several approvals: name one of {', '.join(run.pending_approvals)}", USAGE)


def _print(on: MeshOptions, run: dict[str, Any]) -> None:
    print_record(on, run)


def _run(run: Any) -> dict[str, Any]:
    ended = run.HasField("end_time")
    seconds = (run.end_time.ToDatetime() - run.create_time.ToDatetime()).total_seconds() if ended else None
    return {
        "id": run.id,
        "model": run.model,
        "agent_version": run.agent_version,
        "collection": run.collection,
        "session_id": run.session_id,
        "subject": run.subject,
        "state": enum_word(run_pb2.Run.State.DESCRIPTOR, run.state),
        "finish_reason": enum_word(run_pb2.FinishReason.DESCRIPTOR, run.finish_reason) if ended else "",
        "last_sequence": run.last_sequence,
        "create_time": run.create_time.ToJsonString(),
        "seconds": round(seconds, 3) if seconds is not None else "",
        "prompt_tokens": run.usage.prompt_tokens,
        "completion_tokens": run.usage.completion_tokens,
        "cached_tokens": run.usage.cached_tokens,
        "reasoning_tokens": run.usage.reasoning_tokens,
        "cost": run.usage.cost_nanos / 1e9,
        "pending_approvals": list(run.pending_approvals),
    }
