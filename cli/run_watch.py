"""`headworks run start` and `headworks run watch`: a run, shown while it runs."""

import json
from typing import TYPE_CHECKING, Any

import click

from cli.options import read_option
from cli.target import Target, on_mesh

if TYPE_CHECKING:
    from cli.client import Client


@click.command()
@click.argument("agent")
@click.argument("question")
@read_option
@click.option("--session", default="", help="The session to go on with; made where there is none of that name.")
@click.option("--detach", is_flag=True, help="Print the run's id and leave it running.")
@on_mesh(600)
def start(agent: str, question: str, collection: str, session: str, detach: bool, on: Target) -> None:
    """Start a run of AGENT, an agent or a model, with QUESTION, and show what it does. Ctrl-C cancels it.

    \b
    Examples:
      headworks run start analyst "What is 17 * 23?"
      headworks run start rag "Who dies first?" --collection docs --detach
    """
    from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
    from headworks.orchestrator.v1 import run_pb2

    from cli.client import utf8

    message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=utf8(question, "the question"))
    request = pb.RunRequest(
        model=utf8(agent, "the agent"), messages=[message], collection=utf8(collection, "the collection"),
        session_id=utf8(session, "the session"), detached=True,
    )  # fmt: skip
    with on.calling() as client:
        call: Any = client.orchestrator.Run(request, **on.options(client))
        first = next(iter(call))
        run_id = first.events[0].run_id
        if detach:
            call.cancel()
            click.echo(json.dumps({"run_id": run_id}) if on.as_json else run_id)
            return
        try:
            _show(client, run_id, 0, on, first.events, call)
        except KeyboardInterrupt:
            client.orchestrator.Cancel(pb.CancelRequest(run_id=run_id), timeout=10, metadata=client.metadata)
            raise


@click.command()
@click.argument("run_id")
@click.option("--after", type=click.IntRange(min=0), default=0, help="Only events after this sequence number.")
@on_mesh(3600)
def watch(run_id: str, after: int, on: Target) -> None:
    """Show what the run RUN_ID does until it is over; one JSON object a line with --json.

    A connection that breaks is opened again, and goes on after the last event shown. Ctrl-C leaves the run alone.

    \b
    Examples:
      headworks run watch run_0123
      headworks run watch run_0123 --after 7 --json
    """
    from cli.client import utf8

    with on.calling() as client:
        _show(client, utf8(run_id, "the run"), after, on)


def _show(client: "Client", run_id: str, after: int, on: Target, begun: Any = (), call: Any = None) -> None:
    """Show the events that are there already, then those that follow."""
    from cli.following import follow
    from cli.watching import make_watcher

    with make_watcher(on.as_json) as watcher:
        for event in begun:
            watcher.show(event)
            after = event.sequence
            if event.HasField("finished"):
                return
        for event in follow(client, run_id, after, on.timeout, call):
            watcher.show(event)
