"""`headworks run start` and `headworks run watch`: the events of a run while it runs, as lines or as JSON lines."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, Self

import click
import grpc
from google.protobuf.json_format import MessageToDict
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import run_pb2
from headworks.orchestrator.v1.run_event_pb2 import RunEvent

from cli import shell
from cli.documents.filters import filter_option, make_filter
from cli.errors import interrupted
from cli.messages import enum_word
from cli.options import MeshOptions, on_mesh, read_option
from cli.output import Flow, console, json_text, put, shortcomings, shorten, warn
from cli.runs import wording
from cli.runs.ends import check_end
from cli.runs.find import find_run

if TYPE_CHECKING:
    from rich.console import Console

    from cli.client import Client

# How long Ctrl-C waits for the id of a run that begins, without which it cannot be cancelled.
BEGIN_SECONDS = 3.0
CANCEL_SECONDS = 10.0
# A run begins within milliseconds: so long without a word, and somebody wonders.
SILENT_SECONDS = 3.0
UNKNOWN_RUN = "before it was known which run has begun, if one has: look with `headworks run list`"
MARGIN = 19
STYLES = {
    "started": "bold", "step": "dim", "step done": "dim", "passages": "cyan", "tool call": "yellow",
    "tool begun": "dim", "trimmed": "dim",
    "tool result": "yellow", "tool failed": "red", "verdict": "magenta", "approval": "bold red", "decision": "bold red",
    "citation": "cyan", "usage": "dim", "finished": "bold",
}  # fmt: skip


@click.command()
@click.argument("agent")
@click.argument("question")
@read_option
@filter_option()
@click.option("--session", default="", help="The session to go on with; made where there is none of that name.")
@click.option("--detach", is_flag=True, help="Print the run's id and leave it running.")
@on_mesh(600)
def start(
    agent: str, question: str, collection: str, conditions: tuple[str, ...], session: str, detach: bool,
    on: MeshOptions,
) -> None:  # fmt: skip
    """Start a run of AGENT, an agent or a model, with QUESTION, and show what it does. Ctrl-C cancels it.

    Ends with 1 where the run ends with an error, is cancelled or runs out of time.

    \b
    Examples:
      headworks run start analyst "What is 17 * 23?"
      headworks run start rag "Who dies first?" --collection docs --detach
    """
    message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=question)
    request = pb.RunRequest(
        model=agent, messages=[message], collection=collection,
        session_id=session, detached=True,
        filter=make_filter(conditions) if conditions else None,
    )  # fmt: skip
    with on.client() as client:
        run_id = ""
        try:
            with on.interrupt.held(patience=BEGIN_SECONDS), _impatient(client.edge.url, on.timeout):
                call: Any = client.orchestrator.Run(request)
                started = next(call).events
                run_id = started[0].run_id
            if detach:
                call.cancel()
                click.echo(json_text({"run_id": run_id}) if on.as_json else run_id)
                return
            _render(client, run_id, 0, on, started, call)
        except KeyboardInterrupt as stop:
            raise interrupted(stop, _cancel(client, run_id) if run_id else UNKNOWN_RUN) from None


@contextmanager
def _impatient(url: str, seconds: float) -> Iterator[None]:
    """Say so, where what is waited for within takes long."""
    waits = f"{url} has not answered yet; waiting for up to {seconds:g} s, which --timeout sets"
    timer = threading.Timer(SILENT_SECONDS, warn, (waits,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _cancel(client: "Client", run_id: str) -> str:
    """Cancel the run; what came of that."""
    try:
        client.orchestrator.Cancel(pb.CancelRequest(run_id=run_id), timeout=CANCEL_SECONDS)
    except grpc.RpcError as error:
        way = shell.headworks("run", "cancel", run_id)
        return f"{run_id} could not be cancelled ({client.explain(error)}); it may go on: cancel it with `{way}`"
    return f"{run_id} was cancelled"


@click.command()
@click.argument("run_id")
@click.option("--after", type=click.IntRange(min=0), default=0, help="Only events after this sequence number.")
@on_mesh(3600)
def watch(run_id: str, after: int, on: MeshOptions) -> None:
    """Show what the run RUN_ID does until it is over; one JSON object a line with --json.

    A connection that breaks is opened again, and goes on after the last event shown. Ctrl-C leaves the run alone.
    Ends with 1 where the run ends with an error, is cancelled or runs out of time.

    \b
    Examples:
      headworks run watch run_0123
      headworks run watch run_0123 --after 7 --json
    """
    with on.client() as client:
        try:
            run_id = find_run(client, run_id)
            _render(client, run_id, after, on)
        except KeyboardInterrupt as stop:
            again = shell.headworks("run", "watch", run_id)
            raise interrupted(stop, f"the run is left as it is; watch it again with `{again}`") from None


def _render(client: "Client", run_id: str, after: int, on: MeshOptions, first: Any = (), call: Any = None) -> None:
    """Show the events that are there already, then those that follow. Raises CliError for a run that broke off."""
    from cli.runs.follow import follow

    last: RunEvent | None = None
    with make_watcher(on.as_json) as watcher:

        def lost(why: str) -> None:
            watcher.pause()
            warn(why)

        for last in first:
            watcher.show(last)
        if last is None or not last.HasField("finished"):
            after = last.sequence if last else after
            for last in follow(client, run_id, after, on.timeout, call, lost):
                watcher.show(last)
    check_end(last)


class Watcher(Protocol):
    """Enter it while events are fields."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, event: RunEvent) -> None: ...

    def pause(self) -> None:
        """Something else is to be written."""


class JsonWatcher:
    """One JSON object an event."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def show(self, event: RunEvent) -> None:
        fields = MessageToDict(event, preserving_proto_field_name=True)
        click.echo(json_text(fields))

    def pause(self) -> None: ...


class TextWatcher:
    """The text of an answer flows on where pieces follow each other."""

    def __init__(self, out: "Console") -> None:
        self._out = out
        self._flow: Flow | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pause()

    def show(self, event: RunEvent) -> None:
        kind, words = line(event)
        if kind == "text":
            if self._flow is None:
                self._begin(event, kind)
                self._flow = Flow(self._out, MARGIN)
            self._flow.write(words)
            return
        self.pause()
        self._begin(event, kind)
        put(self._out, words, first=MARGIN, indent=MARGIN)
        if kind == "approval":
            way = shell.headworks("run", "decide", event.run_id, event.approval_request.approval_id, "--yes")
            self._out.print(f"{'':{MARGIN}}{way}", style="dim", soft_wrap=True)

    def pause(self) -> None:
        if self._flow is not None:
            self._flow.close()
        self._flow = None

    def _begin(self, event: RunEvent, kind: str) -> None:
        self._out.print(f"{event.sequence:>4}  {kind:<11}  ", style=STYLES.get(kind), end="")


def make_watcher(as_json: bool) -> Watcher:
    return JsonWatcher() if as_json else TextWatcher(console())


def line(event: RunEvent) -> tuple[str, str]:  # noqa: C901  # one case a kind
    """The kind of an event in a word or two, and what it says."""
    kind = event.WhichOneof("event")
    match kind:
        case "started":
            version = f" version {event.started.agent_version}" if event.started.agent_version else ""
            prompts = ", ".join(filter(None, (event.started.prompt, event.started.callers_prompt)))
            named = f", prompt {prompts}" if prompts else ""
            return kind, f"{event.run_id} of {event.started.model}{version}{named}"
        case "passages":
            titles = ", ".join(one.title or one.document_id for one in event.passages.passages) or "none"
            notes = shortcomings(event.passages.degraded, event.passages.not_reranked)
            return kind, f"{titles} ({'; '.join(notes)})" if notes else titles
        case "text":
            return kind, event.text.text
        case "reasoning":
            return "thought", event.reasoning.text
        case "citation":
            cited = event.citation.citation
            return kind, f"{cited.title or cited.document_id}: “{shorten(cited.quote)}”"
        case "usage":
            return kind, wording.usage(event.usage.usage)
        case "step_started":
            what = wording.STEPS.get(event.step_started.kind, "")
            return "step", f"{event.step_started.step}: {what} {event.step_started.model}".rstrip()
        case "model_routed":
            return "routed", wording.routed(event.model_routed)
        case "step_finished":
            return "step done", f"{event.step_finished.step}: {wording.step(event.step_finished)}"
        case "tool_call":
            whose = " (the caller's own)" if event.tool_call.callers else ""
            return "tool call", f"{event.tool_call.call.name} {shorten(event.tool_call.call.arguments)}{whose}"
        case "tool_begun":
            return "tool begun", event.tool_begun.call_id
        case "tool_result":
            how = "tool failed" if event.tool_result.is_error else "tool result"
            return how, f"{event.tool_result.name} {shorten(wording.result(event.tool_result))}"
        case "context_trimmed":
            return "trimmed", wording.trimmed(event.context_trimmed)
        case "verdict":
            return kind, wording.verdict(event.verdict)
        case "approval_request":
            return "approval", wording.approval(event.approval_request)
        case "approval_decision":
            return "decision", wording.decision(event.approval_decision)
        case "finished":
            reason = enum_word(run_pb2.FinishReason.DESCRIPTOR, event.finished.reason)
            return kind, f"{reason}: {wording.end(event.finished)}"
    return "unknown", ""
