"""The demo: a mesh of its own, the documentation in it, one question over the OpenAI face."""

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from cli.client import Client
from cli.errors import INTERRUPTED, CliError
from cli.files import Found, find_files
from cli.find import Edge
from cli.http import Asked, ask_over_http
from cli.ingest import ingest_found, summary
from cli.mesh import describe
from cli.output import print_citations, print_json, print_timings
from cli.registry import check_settings
from cli.screen import Plain, make_screen
from infra.local import ports
from infra.local.layout import Layout
from infra.local.logs import tail
from infra.local.options import Options, make_options
from infra.local.private import read_dev_key
from infra.local.session import Refused, mesh
from infra.local.supervisor import StartFailed, Supervisor, handle_signals
from infra.local.wards import WardenGone

COLLECTION = "docs"
INGEST_SECONDS = 300.0
PROJECT = Path(__file__).parents[1]
Say = Callable[[str], None]


async def show_everything(question: str, as_json: bool) -> int:
    """Run the demo; 0 when it went well. Raises CliError. Nothing is left running or on disk either way."""
    found = documentation()
    check_settings({})
    say = (lambda _: None) if as_json else _say
    with tempfile.TemporaryDirectory(prefix="headworks-demo-") as folder:
        options = make_options(Path(folder), ports.pick(), {}, None, os.environ)
        try:
            return await _with_mesh(options, found, question, say, as_json)
        except (Refused, WardenGone) as error:
            raise CliError(str(error)) from None
        except StartFailed as error:
            raise CliError(describe(error)) from None


def documentation() -> Found:
    """The project's documents: docs/ and README.md of this installation, else of this folder. Raises CliError."""
    for base in (PROJECT, Path.cwd()):
        there = [name for name in ("docs", "README.md") if (base / name).exists()]
        if there and (found := find_files(there, base)).files:
            return found
    raise CliError("there is no documentation to ingest: run the demo where docs/ or README.md is")


async def _with_mesh(options: Options, found: Found, question: str, say: Say, as_json: bool) -> int:
    say("==> starting the mesh")
    screen = Plain(Console(stderr=True)) if as_json else make_screen(False)
    async with mesh(options, screen.show) as supervisor:
        handle_signals(supervisor)
        with screen:
            if not await supervisor.start():
                return INTERRUPTED
        now = supervisor.state()
        say(f"==> ready in {now.seconds_to_ready:.1f} s")
        edge = Edge(now.edge, read_dev_key(Layout(options.data).dev_key))
        job = asyncio.create_task(asyncio.to_thread(_talk, edge, found, question, say))
        keep = asyncio.create_task(supervisor.keep())
        await asyncio.wait((job, keep), return_when=asyncio.FIRST_COMPLETED)
        if not job.done():
            return INTERRUPTED
        keep.cancel()
        try:
            asked = job.result()
        except Exception as error:
            raise CliError(_what_failed(supervisor, error)) from error
        say("\n==> stopping")
    if as_json:
        print_json({"seconds_to_ready": now.seconds_to_ready, "question": question, **asked.as_json()})
    return 0


def _talk(edge: Edge, found: Found, question: str, say: Say) -> Asked:
    """What a user would do: ingest, ask, read."""
    say(f"==> ingesting {len(found.files)} documents into the collection {COLLECTION}")
    with Client(edge) as client:
        outcome = ingest_found(client, found, COLLECTION, False, INGEST_SECONDS, quiet=True)
    say(f"    {summary(outcome)}")
    for name, reason, message in outcome.failures():
        say(f"    {name} failed: {reason} {message}")
    if not outcome.counts()["created"]:
        raise CliError("none of the documents could be ingested")
    say(f"==> asking: {question}\n")
    asked = ask_over_http(edge, question, COLLECTION, lambda text: _piece(text, say))
    if say is _say:
        Console().print()
        print_citations(asked.citations)
        print_timings(asked.timings_ms)
    return asked


def _what_failed(supervisor: Supervisor, error: Exception) -> str:
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
