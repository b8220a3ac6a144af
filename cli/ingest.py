"""`headworks ingest`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.errors import FAILURE, USAGE, CliError
from cli.options import collection_option, mesh_options, timeout_option

if TYPE_CHECKING:
    from cli.client import Client
    from cli.files import Found
    from cli.sending import Outcome

SHOWN_FAILURES = 50


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@collection_option
@click.option("--delete-missing", is_flag=True, help="Delete the collection's documents that are not among PATH….")
@timeout_option(3600)
@mesh_options
def ingest(
    paths: tuple[str, ...], collection: str, delete_missing: bool, timeout: float,
    data: Path | None, edge: str | None, key: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Put files into a collection: txt, md, html and pdf; PATH is a file, a folder or a glob.

    A changed file replaces its document, an unchanged one is skipped. A document is named by its path relative to
    the current folder when it is below it.

    \b
    Examples:
      headworks ingest docs README.md --collection docs
      headworks ingest 'papers/**/*.pdf' --collection papers --delete-missing
    """
    from cli.client import calling, utf8
    from cli.files import find_files
    from cli.find import find_edge

    found = find_files(list(paths), Path.cwd())
    if found.missing:
        raise CliError(f"nothing is there: {', '.join(found.missing)}; nothing was ingested", USAGE)
    if delete_missing and not found.complete:
        listed = ", ".join(name for name, _ in found.unreadable)
        raise CliError(f"cannot be read: {listed}; with --delete-missing that would delete documents. Nothing was done")
    started = time.monotonic()
    with calling(find_edge(data, edge, key)) as client:
        outcome = ingest_found(client, found, utf8(collection, "the collection"), delete_missing, timeout, as_json)
    outcome.unreadable |= dict(found.unreadable)
    _report(collection, found, outcome, time.monotonic() - started, as_json)
    return FAILURE if outcome.failures() else 0


def ingest_found(
    client: "Client", found: "Found", collection: str, delete_missing: bool, timeout: float, quiet: bool
) -> "Outcome":
    """Send the files with progress shown, unless `quiet`. Raises grpc.RpcError."""
    from headworks.retrieval.v1 import retrieval_service_pb2 as pb

    from cli.sending import send_all

    opened = pb.IngestOpen(collection=collection, create_collection=True, delete_missing=delete_missing)
    with _progress(len(found.files), quiet) as told:
        return send_all(client, opened, found.files, timeout, told)


@contextmanager
def _progress(total: int, quiet: bool) -> Iterator[Any]:
    """A bar on a terminal; elsewhere nothing but the report at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda *_: None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)

        def told(response: Any, outcome: "Outcome") -> None:
            kind = response.WhichOneof("message")
            if kind == "result":
                done = len(outcome.results)
                progress.update(task, completed=done, description=response.result.document_id)
            elif kind == "progress":
                now = response.progress
                text = f"{now.document_id}: {now.passages_done} of {now.passages_total} passages"
                progress.update(task, description=text)

        yield told


def _report(collection: str, found: "Found", outcome: "Outcome", seconds: float, as_json: bool) -> None:
    from cli.output import print_json, table, wide

    failures = outcome.failures()
    if as_json:
        listed = [{"document_id": name, "reason": reason, "message": message} for name, reason, message in failures]
        counts = {**outcome.counts(), "failed": len(failures)}
        print_json({"collection": collection, **counts, "skipped": found.skipped,
                    "failures": listed, "seconds": round(seconds, 2)})  # fmt: skip
        return
    click.echo(f"{collection}: {summary(outcome)} in {seconds:.1f} s")
    if found.skipped:
        click.echo("skipped: " + ", ".join(f"{count} {reason}" for reason, count in sorted(found.skipped.items())))
    if failures:
        click.echo(f"failed: {len(failures)}", err=True)
        wide().print(table(("document", "reason", "message"), failures[:SHOWN_FAILURES]))


def summary(outcome: "Outcome") -> str:
    """ "3 created, 1 replaced, 40 passages"."""
    shown = ("created", "replaced", "unchanged", "deleted", "passages")
    counts = outcome.counts()
    parts = [f"{counts[name]} {name}" for name in shown if counts[name]]
    return ", ".join(parts) or "nothing to do"
