"""`headworks run explain`: the decision log of a run, its events as entries for people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click
from headworks.orchestrator.v1 import run_event_pb2 as pb
from headworks.type.v1 import usage_pb2

from cli import shell
from cli.brief import counted
from cli.options import MeshOptions, on_mesh
from cli.output import console, print_json, put, shortcomings, shorten
from cli.runs import wording
from cli.runs.find import find_run

if TYPE_CHECKING:
    from rich.console import Console


@click.command()
@click.argument("run_id")
@on_mesh(30)
def explain(run_id: str, on: MeshOptions) -> None:
    """Say in words what the run RUN_ID did and why: what it retrieved, which tools it called and what came of it, what
    each step took and cost, who approved what, why it ended. Times are in seconds since it began.

    \b
    Examples:
      headworks run explain run_0123
      headworks run explain run_0123 --json | jq -r '.entries[].what'
    """
    from cli.runs.follow import so_far

    with on.client() as client:
        run_id = find_run(client, run_id)
        entries = explain_events(so_far(client, run_id, on.timeout))
    if on.as_json:
        print_json({"run_id": run_id, "entries": [entry.as_json() for entry in entries]})
    else:
        print_entries(console(), entries)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened, `at` seconds after the run began, and what belongs to it."""

    at: float
    what: str
    details: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {"at": round(self.at, 3), "what": self.what, "details": list(self.details)}


@dataclass
class _Index:
    """What is looked up while the entries are made in order."""

    steps: dict[int, pb.StepFinished] = field(default_factory=dict)
    results: dict[str, pb.ToolResultReceived] = field(default_factory=dict)
    calls: set[str] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)
    pending: dict[str, pb.ApprovalRequested] = field(default_factory=dict)
    text: str = ""
    sources: list[str] = field(default_factory=list)
    usage: usage_pb2.Usage = field(default_factory=usage_pb2.Usage)
    finished: bool = False

    def take(self, event: pb.RunEvent) -> None:  # noqa: C901  # one case a kind
        match event.WhichOneof("event"):
            case "step_finished":
                self.steps[event.step_finished.step] = event.step_finished
            case "tool_call":
                self.calls.add(event.tool_call.call.id)
            case "tool_begun":
                self.begun.add(event.tool_begun.call_id)
            case "tool_result":
                self.results[event.tool_result.call_id] = event.tool_result
            case "approval_request":
                self.pending[event.approval_request.approval_id] = event.approval_request
            case "approval_decision":
                self.pending.pop(event.approval_decision.approval_id, None)
            case "text":
                self.text += event.text.text
            case "citation":
                cited = event.citation.citation
                self.sources.append(f"{cited.title or cited.document_id}: “{shorten(cited.quote)}”")
            case "usage":
                self.usage = event.usage.usage
            case "finished":
                self.finished = True


def explain_events(events: Sequence[pb.RunEvent]) -> list[Entry]:
    """The entries, in order; the answer and the end, or what the run is at, come last. Kinds of events that this reader
    does not know are left out."""
    index = _Index()
    for event in events:
        index.take(event)
    if not events:
        return [Entry(0, "nothing has happened yet")]
    start, entries = _time(events[0]), []
    for event in events:
        entries += [Entry(_time(event) - start, what, details) for what, details in _entries(event, index)]
    if not index.finished:
        entries.append(Entry(_time(events[-1]) - start, *_unfinished(events[0].run_id, index)))
    return entries


def print_entries(out: "Console", entries: Sequence[Entry]) -> None:
    """The entries as lines: when, what, and what belongs to it below."""
    for entry in entries:
        out.print(f"{entry.at:8.3f}", end="  ")
        put(out, entry.what, first=10, indent=10)
        for detail in entry.details:
            put(out, detail, indent=12)


def _entries(event: pb.RunEvent, index: _Index) -> Iterator[tuple[str, tuple[str, ...]]]:  # noqa: C901  # one case a kind
    """What an event adds to the log; nothing where another event tells it."""
    match event.WhichOneof("event"):
        case "started":
            yield _started(event.run_id, event.started), ()
        case "passages":
            yield _passages(event.passages)
        case "step_started" if event.step_started.step not in index.steps:
            doing = wording.STEPS.get(event.step_started.kind, "did something")
            yield f"step {event.step_started.step} began: {doing} {event.step_started.model}".rstrip(), ()
        case "model_routed":
            yield wording.routed(event.model_routed), ()
        case "step_finished":
            yield f"step {event.step_finished.step} {wording.step(event.step_finished)}", ()
        case "tool_call":
            yield _call(event.tool_call, index)
        case "tool_result" if event.tool_result.call_id not in index.calls:
            yield f"{event.tool_result.name} {wording.result(event.tool_result)}", ()
        case "context_trimmed":
            yield wording.trimmed(event.context_trimmed), ()
        case "verdict":
            yield wording.verdict(event.verdict), tuple(f"faulted: “{one}”" for one in event.verdict.sentences)
        case "approval_request":
            yield wording.approval(event.approval_request), ()
        case "approval_decision":
            yield wording.decision(event.approval_decision), ()
        case "finished":
            yield from _end(event.finished, index)


def _started(run_id: str, started: pb.RunStarted) -> str:
    version = f" (version {started.agent_version})" if started.agent_version else ""
    what = f"{'agent' if version else 'model'} {started.model}{version}"
    own = f" with the prompt {started.prompt}" if started.prompt else ""
    callers = f" asked by the prompt {started.callers_prompt}" if started.callers_prompt else ""
    over = f" over the collection {started.collection}" if started.collection else ""
    session = f" in the session {started.session_id}" if started.session_id else ""
    return f"{run_id} of the {what}{own}{callers}{over}{session} began"


def _passages(retrieved: pb.PassagesRetrieved) -> tuple[str, tuple[str, ...]]:
    passages = retrieved.passages
    notes = shortcomings(retrieved.degraded, retrieved.not_reranked)
    how = f" ({'; '.join(notes)})" if notes else ""
    if not passages:
        return f"nothing was retrieved{how}", ()
    details = (f"{one.score:.3f}  {one.title or one.document_id} ({one.passage_id})" for one in passages)
    if retrieved.left_out_tokens:
        how += f"; some {retrieved.left_out_tokens:,} tokens of them were left out of the prompt"
    return f"retrieved {counted(len(passages), 'passage')}, best first{how}", tuple(details)


def _call(requested: pb.ToolCallRequested, index: _Index) -> tuple[str, tuple[str, ...]]:
    whose = ", a tool of the caller's" if requested.callers else ""
    step = index.steps.get(requested.step)
    why = (f"why: “{shorten(step.text, wording.LONG)}”",) if step and step.text.strip() else ()
    result = index.results.get(requested.call.id)
    went = (f"it {wording.result(result)}",) if result else ()
    if not went and requested.call.id in index.begun:
        went = ("it has begun",)
    return f"the model called {wording.call(requested.call)}{whose}", (*why, *went)


def _end(finished: pb.RunFinished, index: _Index) -> Iterator[tuple[str, tuple[str, ...]]]:
    if index.text:
        yield f"the answer: “{shorten(index.text, wording.LONG)}”", tuple(f"from {one}" for one in index.sources)
    hops = [f"{timing.hop} {wording.took(wording.seconds(timing.duration))}" for timing in finished.timings]
    told = finished.error_details
    asked = told.get("attempts", "").replace(",", ", ")
    before = [f"asked by the route {told.get('route', '')}: {asked}"] if asked else []
    details = [*before, f"in all: {wording.usage(index.usage)}", *([f"time by hop: {', '.join(hops)}"] if hops else [])]
    yield f"it ended: {wording.end(finished)}", tuple(details)


def _unfinished(run_id: str, index: _Index) -> tuple[str, tuple[str, ...]]:
    if not index.pending:
        return "it is still under way", ()
    ways = (
        f"{shell.headworks('run', 'decide', run_id, approval_id, '--yes')} (or --no)" for approval_id in index.pending
    )
    return "it waits for a person", tuple(ways)


def _time(event: pb.RunEvent) -> float:
    return event.create_time.seconds + event.create_time.nanos / 1e9
