"""`headworks runs`."""

from pathlib import Path
from typing import Any

import click

from cli.options import mesh_options, timeout_option


@click.group()
def runs() -> None:
    """List, show, watch and cancel runs.

    \b
    Examples:
      headworks runs list --limit 5
      headworks runs show run_0123
      headworks runs watch run_0123
      headworks runs cancel run_0123
    """


@runs.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Runs at most.")
@timeout_option(30)
@mesh_options
def list_(limit: int, timeout: float, data: Path | None, edge: str | None, key: str | None, as_json: bool) -> None:
    """List the runs, the newest first.

    \b
    Example:
      headworks runs list --limit 5
    """
    from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

    from cli.client import calling
    from cli.find import find_edge
    from cli.output import print_json, table, wide

    with calling(find_edge(data, edge, key)) as client:
        request = pb.ListRunsRequest(page_size=limit)
        response = client.orchestrator.ListRuns(request, timeout=timeout, metadata=client.metadata)
    found = [_run(run) for run in response.runs]
    if as_json:
        print_json({"runs": found})
        return
    columns = ("run", "model", "collection", "state", "ended by", "started", "seconds")
    rows = ((one["id"], one["model"], one["collection"], one["state"], one["finish_reason"], one["create_time"],
             one["seconds"]) for one in found)  # fmt: skip
    wide().print(table(columns, rows, right=("seconds",)))


@runs.command()
@click.argument("run_id")
@timeout_option(30)
@mesh_options
def show(run_id: str, timeout: float, data: Path | None, edge: str | None, key: str | None, as_json: bool) -> None:
    """Show the run RUN_ID.

    \b
    Example:
      headworks runs show run_0123
    """
    from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

    from cli.client import calling, utf8
    from cli.find import find_edge

    with calling(find_edge(data, edge, key)) as client:
        request = pb.GetRunRequest(run_id=utf8(run_id, "the run"))
        response = client.orchestrator.GetRun(request, timeout=timeout, metadata=client.metadata)
    _show(_run(response.run), as_json)


@runs.command()
@click.argument("run_id")
@click.option("--after", type=click.IntRange(min=0), default=0, help="Only events after this sequence number.")
@timeout_option(600)
@mesh_options
def watch(
    run_id: str, after: int, timeout: float, data: Path | None, edge: str | None, key: str | None, as_json: bool
) -> None:
    """Print the events of the run RUN_ID until it is over, one JSON object a line with --json.

    \b
    Example:
      headworks runs watch run_0123 --json
    """
    import json

    from google.protobuf.json_format import MessageToDict
    from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

    from cli.client import calling, utf8
    from cli.find import find_edge

    with calling(find_edge(data, edge, key)) as client:
        request = pb.AttachRequest(run_id=utf8(run_id, "the run"), after_sequence=after)
        call: Any = client.orchestrator.Attach(request, timeout=timeout, metadata=client.metadata)
        try:
            for response in call:
                for event in response.events:
                    shown = MessageToDict(event, preserving_proto_field_name=True)
                    click.echo(json.dumps(shown, ensure_ascii=False) if as_json else _line(event, shown))
        finally:
            call.cancel()


@runs.command()
@click.argument("run_id")
@timeout_option(30)
@mesh_options
def cancel(run_id: str, timeout: float, data: Path | None, edge: str | None, key: str | None, as_json: bool) -> None:
    """End the run RUN_ID. One that is over already is left as it is.

    \b
    Example:
      headworks runs cancel run_0123
    """
    from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

    from cli.client import calling, utf8
    from cli.find import find_edge

    with calling(find_edge(data, edge, key)) as client:
        request = pb.CancelRequest(run_id=utf8(run_id, "the run"))
        response = client.orchestrator.Cancel(request, timeout=timeout, metadata=client.metadata)
    _show(_run(response.run), as_json)


def _show(run: dict[str, Any], as_json: bool) -> None:
    from cli.output import print_json, table, wide

    if as_json:
        print_json(run)
    else:
        wide().print(table(("", ""), run.items()))


def _line(event: Any, fields: dict[str, Any]) -> str:
    from cli.output import shorten

    kind = event.WhichOneof("event") or "unknown"
    return f"{event.sequence:>4}  {kind:<10} {shorten(str(fields.get(kind, '')))}"


def _run(run: Any) -> dict[str, Any]:
    from headworks.orchestrator.v1 import run_pb2

    from cli.answers import word

    ended = run.HasField("end_time")
    seconds = (run.end_time.ToDatetime() - run.create_time.ToDatetime()).total_seconds() if ended else None
    return {
        "id": run.id,
        "model": run.model,
        "collection": run.collection,
        "state": word(run_pb2.Run.State.Name(run.state), "STATE_"),
        "finish_reason": word(run_pb2.FinishReason.Name(run.finish_reason), "FINISH_REASON_") if ended else "",
        "last_sequence": run.last_sequence,
        "create_time": run.create_time.ToJsonString(),
        "seconds": round(seconds, 3) if seconds is not None else "",
        "prompt_tokens": run.usage.prompt_tokens,
        "completion_tokens": run.usage.completion_tokens,
    }
