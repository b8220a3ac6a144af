"""`headworks ask`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from cli.options import mesh_options, read_option, timeout_option


@click.command()
@click.argument("question")
@read_option
@click.option("--agent", "--model", "model", default="rag", show_default=True, help="The agent or model that answers.")
@click.option("--session", default="", help="The session to go on with; made where there is none of that name.")
@click.option("--max-passages", type=click.IntRange(0, 20), default=0, help="Passages to read; 0 means 3.")
@click.option("--max-sentences", type=click.IntRange(0, 10), default=0, help="Sentences to quote; 0 means 2.")
@timeout_option(60)
@mesh_options
def ask(
    question: str, collection: str, model: str, session: str, max_passages: int, max_sentences: int, timeout: float,
    data: Path | None, edge: str | None, key: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Ask QUESTION and print the answer as it comes, its sources and what each hop took.

    \b
    Examples:
      headworks ask "What happens when the gateway dies?" --collection docs
      headworks ask "And who wrote it?" --agent chat --session mine
      headworks ask "Who wrote it?" --json | jq -r .answer
    """
    from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
    from headworks.orchestrator.v1 import run_pb2

    from cli import wording
    from cli.answers import gather, with_gateway
    from cli.client import calling, utf8
    from cli.find import find_edge
    from cli.output import print_citations, print_json, print_timings

    message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=utf8(question, "the question"))
    request = pb.RunRequest(
        model=utf8(model, "the agent"), messages=[message], collection=utf8(collection, "the collection"),
        max_passages=max_passages, max_sentences=max_sentences, session_id=utf8(session, "the session"),
    )  # fmt: skip
    with calling(find_edge(data, edge, key)) as client:
        call = client.orchestrator.Run(request, timeout=timeout, metadata=client.metadata)
        answer = gather(_events(call), (lambda _: None) if as_json else _say)
        answer.timings_ms = with_gateway(answer.timings_ms, _server_timing(call))
    if as_json:
        print_json(answer.as_json())
        return
    click.echo()
    if answer.degraded:
        click.echo(f"headworks: {wording.DEGRADED}", err=True)
    print_citations(answer.as_json()["citations"])
    print_timings(answer.timings_ms)


def _events(call: Any) -> Iterator[Any]:
    """The events of the run; leaving early cancels it."""
    try:
        for response in call:
            for event in response.events:
                if event.HasField("approval_request"):
                    _tell(event)
                yield event
    finally:
        call.cancel()


def _tell(event: Any) -> None:
    from cli import wording

    decide = f"headworks run decide {event.run_id} {event.approval_request.approval_id} --yes"
    click.echo(f"headworks: {wording.approval(event.approval_request)}; decide with `{decide}` or --no", err=True)


def _say(text: str) -> None:
    click.echo(text, nl=False)


def _server_timing(call: Any) -> str:
    return next((str(value) for name, value in call.trailing_metadata() or () if name == "server-timing"), "")
