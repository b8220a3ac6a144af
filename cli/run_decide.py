"""`headworks run decide`."""

from typing import TYPE_CHECKING, Any

import click

from cli.errors import USAGE, CliError
from cli.target import Target, on_mesh

if TYPE_CHECKING:
    from cli.client import Client


@click.command()
@click.argument("run_id")
@click.argument("approval_id", required=False)
@click.option("--yes/--no", "approved", default=None, help="Approve, or refuse.")
@click.option("--comment", default="", help="Why; the model reads it with a refusal.")
@click.option("--replacement", default="", help="What to answer instead of the draft; goes with --yes.")
@on_mesh(30)
def decide(
    run_id: str, approval_id: str | None, approved: bool | None, comment: str, replacement: str, on: Target
) -> None:
    """Decide what the run RUN_ID waits for; it goes on at once. Without APPROVAL_ID, the only approval it waits for.

    \b
    Examples:
      headworks run decide run_0123 --yes
      headworks run decide run_0123 apr_1 --no --comment "That is too expensive."
    """
    from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

    from cli.client import utf8
    from cli.output import print_json

    if approved is None:
        raise CliError("say --yes or --no", USAGE)
    if replacement and not approved:
        raise CliError("--replacement is an answer to give: it goes with --yes", USAGE)
    utf8(run_id, "the run")
    with on.calling() as client:
        request = pb.DecideRequest(
            run_id=run_id, approval_id=utf8(approval_id or _only(client, run_id, on), "the approval"),
            approved=approved, comment=utf8(comment, "the comment"), replacement=utf8(replacement, "the replacement"),
        )  # fmt: skip
        decision = client.orchestrator.Decide(request, **on.options(client)).decision
    if on.as_json:
        print_json(_json(run_id, decision))
    else:
        click.echo(f"{'Approved' if decision.approved else 'Refused'} {decision.approval_id} of {run_id}.")


def _only(client: "Client", run_id: str, on: Target) -> str:
    """The only approval that the run waits for. Raises CliError where there is none, or more."""
    from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

    run = client.orchestrator.GetRun(pb.GetRunRequest(run_id=run_id), **on.options(client)).run
    if len(run.pending_approvals) == 1:
        return run.pending_approvals[0]
    if not run.pending_approvals:
        raise CliError(f"{run_id} waits for no approval")
    raise CliError(f"{run_id} waits for several approvals: name one of {', '.join(run.pending_approvals)}", USAGE)


def _json(run_id: str, decision: Any) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "approval_id": decision.approval_id,
        "approved": decision.approved,
        "decided_by": decision.decided_by,
        "comment": decision.comment,
        "replacement": decision.replacement,
    }
