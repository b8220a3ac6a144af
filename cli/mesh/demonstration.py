"""The demo: a mesh of its own, the documentation in it, one question over the OpenAI face; with a language model, a
conversation too."""

import asyncio
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cli.brief import counted
from cli.client import Client
from cli.documents.ingest import ingest_files, summary
from cli.documents.scan import FileScan, find_files
from cli.edge import Edge
from cli.errors import INTERRUPTED, CliError
from cli.mesh.conversation import Conversation, hold
from cli.mesh.screen import PlainScreen, make_screen
from cli.mesh.settings import check_settings
from cli.mesh.up import describe
from cli.output import Flow, console, print_citations, print_json, print_timings
from cli.runs.chat import ChatAnswer, ask_over_http
from infra.local import ports
from infra.local.keys import read_dev_key
from infra.local.layout import Layout
from infra.local.logs import tail
from infra.local.models import LLM_VARIABLE, models_settings, with_packaged
from infra.local.options import BadOptions, Options, make_options
from infra.local.process_host import ProcessHostGone
from infra.local.session import Refused, mesh
from infra.local.supervisor import StartFailed, Supervisor, handle_signals

COLLECTION = "docs"
INGEST_SECONDS = 300.0
PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Show:
    """What the demo shows: the answer to a question, with what each hop took where `timings` are asked for; in JSON,
    at its end."""

    question: str
    timings: bool = False
    as_json: bool = False

    def say(self, text: str) -> None:
        if not self.as_json:
            print(text, flush=True)

    def stopping(self) -> None:
        print("\nheadworks: interrupted; stopping the mesh", file=sys.stderr, flush=True)


async def run_demo(show: Show, llm: str | None) -> int:
    """Run the demo, with a language model where one is named; 0 when it went well. Raises CliError. Nothing is left
    running or on disk either way, but for a model that was made ready."""
    scan = documentation()
    check_settings({})
    env = {**os.environ, **({LLM_VARIABLE: llm} if llm else {})}
    with tempfile.TemporaryDirectory(prefix="headworks-demo-") as folder:
        try:
            options = make_options(Path(folder), ports.pick(), {}, None, env)
            return await _with_mesh(with_packaged(options, show.say), scan, show)
        except (BadOptions, Refused, ProcessHostGone) as error:
            raise CliError(str(error)) from None
        except StartFailed as error:
            raise CliError(describe(error)) from None


def documentation() -> FileScan:
    """The project's documents: docs/ and README.md of this installation, else of this folder. Raises CliError."""
    for base in (PROJECT, Path.cwd()):
        names = [name for name in ("docs", "README.md") if (base / name).exists()]
        if names and (scan := find_files(names, base)).files:
            return scan
    raise CliError("there is no documentation to ingest: run the demo where docs/ or README.md is")


async def _with_mesh(options: Options, scan: FileScan, show: Show) -> int:
    show.say("==> starting the mesh" + (", and a language model, which takes up to a minute" if _llm(options) else ""))
    screen = PlainScreen(console(stderr=True)) if show.as_json else make_screen(False)
    async with mesh(options, screen.show) as supervisor:
        handle_signals(supervisor)
        with screen:
            ready = await supervisor.start()
        if not ready:
            show.stopping()
            return INTERRUPTED
        now = supervisor.state()
        show.say(f"==> ready in {now.seconds_to_ready:.1f} s")
        edge = Edge(now.edge, read_dev_key(Layout(options.data).dev_key))
        job = asyncio.create_task(asyncio.to_thread(_use, edge, scan, show, _llm(options)))
        keep = asyncio.create_task(supervisor.keep())
        await asyncio.wait((job, keep), return_when=asyncio.FIRST_COMPLETED)
        if not job.done():
            show.stopping()
            return INTERRUPTED
        keep.cancel()
        try:
            answer, conversation = job.result()
        except Exception as error:
            raise CliError(_failure(supervisor, error)) from error
        show.say("\n==> stopping")
    if show.as_json:
        more = {} if conversation is None else {"conversation": conversation.as_json()}
        print_json({"seconds_to_ready": now.seconds_to_ready, "question": show.question, **answer.as_json(), **more})
    return 0


def _llm(options: Options) -> bool:
    return bool(models_settings(options).llm)


def _use(edge: Edge, scan: FileScan, show: Show, llm: bool) -> tuple[ChatAnswer, Conversation | None]:
    """What a user would do: ingest, ask, read; and talk, where there is somebody to talk to."""
    with Client(edge) as client:
        _ingest(client, scan, show)
        answer = _ask(edge, show)
        return answer, hold(client, show.say, show.as_json) if llm else None


def _ingest(client: Client, scan: FileScan, show: Show) -> None:
    show.say(f"==> ingesting {counted(len(scan.files), 'document')} into the collection {COLLECTION}")
    outcome = ingest_files(client, scan.files, COLLECTION, False, INGEST_SECONDS, quiet=True)
    show.say(f"    {summary(outcome)}")
    for name, reason, message in outcome.failures():
        show.say(f"    {name} failed: {reason} {message}")
    if not outcome.counts()["created"]:
        raise CliError("none of the documents could be ingested")


def _ask(edge: Edge, show: Show) -> ChatAnswer:
    show.say(f"==> asking: {show.question}\n")
    with Flow(console()) as flow:
        answer = ask_over_http(edge, show.question, COLLECTION, (lambda _: None) if show.as_json else flow.write)
    if not show.as_json:
        print_citations(answer.citations)
        if show.timings:
            print_timings(answer.timings_ms)
    return answer


def _failure(supervisor: Supervisor, error: Exception) -> str:
    """The error, with the processes that are not well and the end of their logs."""
    lines = [f"the demo failed: {error}"]
    for process in supervisor.processes:
        if not process.ready.is_set() or process.restarts:
            lines.append(f"{process.spec.name}: {process.health.reason or process.state}, restarts: {process.restarts}")
            lines += [f"  | {line}" for line in tail(process.log)]
    return "\n".join(lines)
