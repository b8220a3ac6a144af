"""`headworks ask`."""

from collections.abc import Iterator
from typing import Any

import click
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import run_pb2

from cli import shell
from cli.documents.filters import filter_option, make_filter
from cli.options import MeshOptions, on_mesh, read_option, timings_option
from cli.output import Flow, console, print_citations, print_json, print_timings, shortcomings, warn
from cli.runs.answers import Answer, gather, with_gateway
from cli.runs.ends import check_end
from cli.runs.wording import approval


@click.command()
@click.argument("question")
@read_option
@filter_option()
@click.option("--agent", "--model", "model", default="rag", show_default=True, help="The agent or model that answers.")
@click.option("--session", default="", help="The session to go on with; made where there is none of that name.")
@click.option("--max-passages", type=click.IntRange(0, 20), default=0, help="Passages to read; 0 means 3.")
@click.option("--max-sentences", type=click.IntRange(0, 10), default=0, help="Sentences to quote; 0 means 2.")
@timings_option
@on_mesh(60)
def ask(
    question: str, collection: str, conditions: tuple[str, ...], model: str, session: str, max_passages: int,
    max_sentences: int, timings: bool, on: MeshOptions,
) -> None:  # fmt: skip
    """Ask QUESTION and print the answer as it comes, and its sources.

    Where the answer breaks off, by an error or by Ctrl-C, what came of it is printed, with --json too.

    \b
    Examples:
      headworks ask "What happens when the gateway dies?" --collection docs
      headworks ask "And who wrote it?" --agent chat --session mine
      headworks ask "What does travel cost?" --filter department=finance
      headworks ask "Who wrote it?" --timings
      headworks ask "Who wrote it?" --json | jq -r .answer
    """
    request = pb.RunRequest(
        model=model, messages=[run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=question)],
        collection=collection, max_passages=max_passages, max_sentences=max_sentences, session_id=session,
        filter=make_filter(conditions) if conditions else None,
    )  # fmt: skip
    answer = Answer()
    try:
        with Flow(console()) as flow, on.client() as client:
            call = client.orchestrator.Run(request)
            gather(_events(call, flow), (lambda _: None) if on.as_json else flow.write, answer)
            answer.timings_ms = with_gateway(answer.timings_ms, _server_timing(call))
            check_end(answer.last)
    except BaseException:
        if on.as_json and answer.run_id:
            print_json(answer.as_json())
        raise
    record = answer.as_json()
    if on.as_json:
        print_json(record)
        return
    for note in shortcomings(answer.degraded, answer.not_reranked):
        warn(note)
    print_citations(record["citations"])
    if timings:
        print_timings(answer.timings_ms)


def _events(call: Any, flow: Flow) -> Iterator[Any]:
    """The events of the run; leaving early cancels it."""
    try:
        for response in call:
            for event in response.events:
                if event.HasField("approval_request"):
                    flow.close()
                    _print_approval(event)
                yield event
    finally:
        call.cancel()


def _print_approval(event: Any) -> None:
    decide = shell.headworks("run", "decide", event.run_id, event.approval_request.approval_id, "--yes")
    warn(f"{approval(event.approval_request)}; decide with `{decide}` or --no")


def _server_timing(call: Any) -> str:
    return next((str(value) for name, value in call.trailing_metadata() or () if name == "server-timing"), "")
