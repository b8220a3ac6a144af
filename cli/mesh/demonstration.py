"""The demo: a mesh of its own, the documentation in it, one question over the OpenAI face."""

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from cli.client import Client
from cli.documents.ingest import ingest_files, summary
from cli.documents.scan import FileScan, find_files
from cli.edge import Edge
from cli.errors import INTERRUPTED, CliError
from cli.mesh.screen import PlainScreen, make_screen
from cli.mesh.settings import check_settings
from cli.mesh.up import describe
from cli.output import print_citations, print_json, print_timings
from cli.runs.chat import ChatAnswer, ask_over_http
from infra.local import ports
from infra.local.keys import read_dev_key
from infra.local.layout import Layout
from infra.local.logs import tail
from infra.local.options import Options, make_options
from infra.local.process_host import ProcessHostGone
from infra.local.session import Refused, mesh
from infra.local.supervisor import StartFailed, Supervisor, handle_signals

COLLECTION = "docs"
INGEST_SECONDS = 300.0
PROJECT = Path(__file__).parents[2]
Say = Callable[[str], None]


async def run_demo(question: str, as_json: bool) -> int:
    """Run the demo; 0 when it went well. Raises CliError. Nothing is left running or on disk either way."""
    scan = documentation()
    check_settings({})
    say = (lambda _: None) if as_json else _say
    with tempfile.TemporaryDirectory(prefix="headworks-demo-") as folder:
        options = make_options(Path(folder), ports.pick(), {}, None, os.environ)
        try:
            return await _with_mesh(options, scan, question, say, as_json)
        except (Refused, ProcessHostGone) as error:
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


async def _with_mesh(options: Options, scan: FileScan, question: str, say: Say, as_json: bool) -> int:
    say("==> starting the mesh")
    screen = PlainScreen(Console(stderr=True)) if as_json else make_screen(False)
    async with mesh(options, screen.show) as supervisor:
        handle_signals(supervisor)
        with screen:
            if not await supervisor.start():
                return INTERRUPTED
        now = supervisor.state()
        say(f"==> ready in {now.seconds_to_ready:.1f} s")
        edge = Edge(now.edge, read_dev_key(Layout(options.data).dev_key))
        job = asyncio.create_task(asyncio.to_thread(_ingest_and_ask, edge, scan, question, say))
        keep = asyncio.create_task(supervisor.keep())
        await asyncio.wait((job, keep), return_when=asyncio.FIRST_COMPLETED)
        if not job.done():
            return INTERRUPTED
        keep.cancel()
        try:
            answer = job.result()
        except Exception as error:
            raise CliError(_failure(supervisor, error)) from error
        say("\n==> stopping")
    if as_json:
        print_json({"seconds_to_ready": now.seconds_to_ready, "question": question, **answer.as_json()})
    return 0


def _ingest_and_ask(edge: Edge, scan: FileScan, question: str, say: Say) -> ChatAnswer:
    """What a user would do: ingest, ask, read."""
    say(f"==> ingesting {len(scan.files)} documents into the collection {COLLECTION}")
    with Client(edge) as client:
        outcome = ingest_files(client, scan, COLLECTION, False, INGEST_SECONDS, quiet=True)
    say(f"    {summary(outcome)}")
    for name, reason, message in outcome.failures():
        say(f"    {name} failed: {reason} {message}")
    if not outcome.counts()["created"]:
        raise CliError("none of the documents could be ingested")
    say(f"==> asking: {question}\n")
    answer = ask_over_http(edge, question, COLLECTION, lambda text: _piece(text, say))
    if say is _say:
        Console().print()
        print_citations(answer.citations)
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


def _say(text: str) -> None:
    print(text, flush=True)


def _piece(text: str, say: Say) -> None:
    if say is _say:
        print(text, end="", flush=True)
