"""`headworks ingest`."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from cli.brief import counted
from cli.documents.record_options import record_options
from cli.documents.web_options import web_options
from cli.errors import FAILURE, USAGE, CliError, interrupted
from cli.options import MeshOptions, collection_option, on_mesh
from cli.output import console, print_json, print_table, visible

if TYPE_CHECKING:
    from headworks.retrieval.v1.document_pb2 import Document

    from cli.client import Client
    from cli.documents.missing import MissingDocuments
    from cli.documents.scan import FileScan
    from cli.documents.sources.records import RecordPaths
    from cli.documents.sources.source import SourceDocument
    from cli.documents.upload import Outcome

SHOWN_FAILURES = 50
MOST_NAMED = 1000
NAMED_LINKS = 5


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@collection_option
@click.option(
    "--meta", "pairs", multiple=True, metavar="KEY=VALUE", help="A label for all documents of PATH…; may be repeated."
)
@click.option("--delete-missing", is_flag=True, help="Delete documents that came from PATH… and are gone from there.")
@click.option("--follow-links", is_flag=True, help="Follow symbolic links that lead out of a PATH, too.")
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="GROUP",
    help="Only members of GROUP may read the documents; may be repeated. Without it everybody in the tenant may.",
)
@click.option("--yes", is_flag=True, help="Delete them even where nothing is left in a PATH or a folder.")
@click.option(
    "--kind", default="", type=click.Choice(("", "files", "git", "zip", "confluence", "jira", "records", "web")),
    metavar="KIND", help="What PATH… are: files, git, zip, confluence, jira, records or web; by default as they look.",
)  # fmt: skip
@record_options
@web_options
@on_mesh(3600)
def ingest(
    paths: tuple[str, ...], collection: str, pairs: tuple[str, ...], delete_missing: bool, follow_links: bool,
    groups: tuple[str, ...], yes: bool, kind: str, depth: int, max_pages: int, max_bytes: int, delay: float,
    below: bool, allow_private: bool, records: "RecordPaths | None", on: MeshOptions,
) -> int:  # fmt: skip
    """Put files into a collection; PATH is a file, a folder, a glob, a zip file or an address.

    Read are txt, md, rst, html, pdf, docx, pptx, xlsx, xls, odt, ods, epub, csv, tsv, json, jsonl, ipynb, eml and mbox.
    A text that is no UTF-8 is read in the encoding that it declares or that its language tells, which is reported;
    where that is unsure the file fails. Warnings say what of a file was not read.

    A file that is named is taken whatever its ending; one that cannot be is a failure. Below a folder, files of other
    types, hidden ones and symbolic links that lead out of it are skipped, and counted.

    An address (https://…) is a page or a sitemap; --depth follows links on its host, by its robots.txt. A zip file has
    files in it, or is an export of a Confluence space. --kind git takes the files that a checkout tracks, --kind jira
    an export of Jira in XML, CSV or JSON. With --record-text each record of a file of JSON or JSON lines is a document
    of its own; PATH in these options leads by names, and by numbers within lists: authors.0.name.

    A changed file replaces its document, an unchanged one is skipped. A document is named by its path relative to
    the current folder when it is below it.

    --delete-missing deletes a document only if the file that it came from is within PATH… and is gone. What is skipped
    or fails is kept, and so is what came from elsewhere. An empty folder may be a disk that is not mounted: --yes says
    that it is not. To keep a collection equal to sites and exports, too, see `headworks sync`.

    --group says who may read the documents, in the place of what was said before, also of files that are unchanged.
    Only who is in one of the groups, or sees all documents, can say so.

    Labels, which searches filter by, come from --meta, then from a sidecar, NAME.meta.yaml or NAME.meta.json beside
    NAME (a mapping of labels, and `title`), then from a Markdown file's front matter.

    Ctrl-C leaves what is in; the same command goes on with the others.

    \b
    Examples:
      headworks ingest docs README.md --collection docs
      headworks ingest handbook --collection docs --meta department=finance --meta year=2026
      headworks ingest https://example.com/docs/ --depth 2 --max-pages 200
      headworks ingest tickets.jsonl --record-id key --record-title subject --record-text body
      headworks ingest 'papers/**/*.pdf' --collection papers --delete-missing
    """
    from cli.documents.labels import BadLabels, parse_labels
    from cli.documents.scan import find_files
    from cli.documents.sources.fetch import Manners
    from cli.documents.sources.make import Web, sorted_out
    from cli.documents.sources.reading import read_sources
    from cli.documents.sources.source import BadSource
    from cli.documents.sources.web import WebLimits
    from cli.documents.upload import stored_documents

    if "" in paths:
        raise CliError("a PATH is empty: is the variable that it comes from not set? Nothing was ingested", USAGE)
    here = Path.cwd()
    web = Web(WebLimits(max_pages, max_bytes, depth, below), Manners(delay, allow_private=allow_private))
    try:
        labels = parse_labels(pairs)
        kind = kind or ("records" if records else "")
        arguments, sources = sorted_out(paths, kind, here, labels, web, records)
    except BadLabels as error:
        raise CliError(f"--meta: {error}; nothing was ingested", USAGE) from None
    except BadSource as error:
        raise CliError(f"{error}; nothing was ingested") from None
    scan = find_files(arguments, here, follow_links, labels)
    _check(scan, arguments, delete_missing, yes)
    started = time.monotonic()
    if scan.not_taken and not scan.files and not sources and not delete_missing:
        raise CliError("; ".join(f"{name} was not taken: {why}" for name, why in scan.not_taken))
    with on.client() as client, TemporaryDirectory(prefix="headworks-") as workspace:
        stored = stored_documents(client, collection, on.timeout) if sources or delete_missing else []
        known = {document.id: document.content_hash for document in stored}
        try:
            found, missed = read_sources(sources, known, scan, Path(workspace), on.as_json)
        except BadSource as error:
            raise CliError(f"{error}; nothing was ingested") from None
        documents = [*scan.files, *found]
        missing = _missing(scan, stored, yes) if delete_missing else None
        gone = missing.gone if missing else ()
        outcome = ingest_files(
            client, documents, collection, delete_missing, on.timeout, on.as_json, gone, groups=groups
        )
    outcome.unreadable |= dict(scan.unreadable)
    outcome.not_taken |= dict(scan.not_taken)
    outcome.missed |= missed
    _report(collection, scan, missing, outcome, time.monotonic() - started, on.as_json)
    return FAILURE if outcome.failures() else 0


def _check(scan: "FileScan", arguments: "Sequence[str]", delete_missing: bool, yes: bool) -> None:
    """Raises CliError where nothing should be done."""
    if scan.missing:
        raise CliError(f"nothing is there: {', '.join(scan.missing)}; nothing was ingested", USAGE)
    if delete_missing and not scan.complete:
        listed = ", ".join(name for name, _ in scan.unreadable)
        raise CliError(f"cannot be read: {listed}; with --delete-missing all must be looked at. Nothing was done")
    if delete_missing and arguments and not scan.files and not yes:
        raise CliError(
            f"nothing to ingest was found in {', '.join(arguments)}: is it the right place, and mounted? "
            "With --delete-missing that would delete all documents that came from there; if that is meant, add --yes. "
            "Nothing was done"
        )


def _missing(scan: "FileScan", stored: "Sequence[Document]", yes: bool) -> "MissingDocuments":
    """What is gone since the last time of what is `stored`. Raises CliError where there is doubt, and no `yes`."""
    from cli.documents.missing import find_missing

    here = {file.id: file for file in scan.files}
    missing = find_missing(stored, here, scan.searched)
    if missing.question and not yes:
        raise CliError(f"{missing.question}. Nothing was done")
    return missing


def ingest_files(
    client: "Client", documents: "Sequence[SourceDocument]", collection: str, delete_gone: bool, timeout: float,
    quiet: bool, gone: "Sequence[Document]" = (), still_gone: "Callable[[Document], bool] | None" = None,
    groups: Sequence[str] = (),
) -> "Outcome":  # fmt: skip
    """Send the documents with progress shown, unless `quiet`, and delete what is `gone` and still is: files by a look
    at them. Raises grpc.RpcError, and CliError where it is interrupted."""
    from headworks.retrieval.v1 import retrieval_service_pb2 as pb

    from cli.documents.missing import file_is_gone
    from cli.documents.upload import Outcome, send_all

    opened, outcome = (
        pb.IngestOpen(collection=collection, create_collection=True, delete_gone=delete_gone),
        Outcome(),
    )
    try:
        with _cursor(), _progress(len(documents), quiet) as on_response:
            looks = still_gone or file_is_gone
            send_all(client, opened, documents, timeout, on_response, outcome, gone, looks, groups)
    except KeyboardInterrupt as stop:
        raise interrupted(stop, so_far(outcome, len(documents), collection)) from None
    return outcome


def so_far(outcome: "Outcome", total: int, collection: str) -> str:
    """What is in where an ingestion is broken off."""
    files = f"{outcome.stored():,} of {counted(total, 'document')}"
    return f"{files} are in {collection}, and stay; the same command goes on with the others"


@contextmanager
def _cursor() -> Iterator[None]:
    """A terminal has its cursor again, also where Ctrl-C came while a bar was begun."""
    try:
        yield
    finally:
        console(stderr=True).show_cursor(True)


@contextmanager
def _progress(total: int, quiet: bool) -> Iterator[Any]:
    """A bar on a terminal; elsewhere nothing but the report at the end."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    out = console(stderr=True)
    if quiet or not out.is_terminal:
        yield lambda *_: None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=out, transient=True) as progress:
        task = progress.add_task("", total=total)

        def on_response(response: Any, outcome: "Outcome") -> None:
            kind = response.WhichOneof("message")
            if kind == "result":
                done = len(outcome.results)
                progress.update(task, completed=done, description=response.result.document_id)
            elif kind == "progress":
                now = response.progress
                text = f"{now.document_id}: {now.passages_done} of {counted(now.passages_total, 'passage')}"
                progress.update(task, description=text)

        yield on_response


def _report(
    collection: str,
    scan: "FileScan",
    missing: "MissingDocuments | None",
    outcome: "Outcome",
    seconds: float,
    as_json: bool,
) -> None:
    failures = outcome.failures()
    if as_json:
        listed = [{"document_id": name, "reason": reason, "message": message} for name, reason, message in failures]
        counts: dict[str, Any] = {**outcome.counts(), "failed": len(failures)}
        if missing:
            counts["kept"] = {"there": missing.there, "elsewhere": missing.elsewhere}
        remarked = [
            {"document_id": name, "encoding": encoding, "warnings": warnings}
            for name, encoding, warnings in outcome.remarks()
        ]
        report = {
            "skipped": scan.skipped, "links_not_followed": scan.links[:MOST_NAMED], "remarks": remarked,
            "failures": listed,
        }  # fmt: skip
        print_json({"collection": collection, **counts, **report, "seconds": round(seconds, 2)})
        return
    click.echo(f"{collection}: {summary(outcome)} in {seconds:.1f} s")
    if scan.skipped:
        click.echo("skipped: " + ", ".join(skipped(scan)))
    if scan.links:
        named = ", ".join(scan.links[:NAMED_LINKS]) + (", …" if len(scan.links) > NAMED_LINKS else "")
        click.echo(f"links not followed: {named}: --follow-links takes what they lead to")
    if missing and (missing.there or missing.elsewhere):
        click.echo(f"kept: {missing.there} whose file is still there, {missing.elsewhere} that came from elsewhere")
    for line in remarks(outcome):
        click.echo(line, err=True)
    if failures:
        click.echo(f"failed: {len(failures)}", err=True)
        print_table(("document", "reason", "message"), failures[:SHOWN_FAILURES])


def remarks(outcome: "Outcome") -> list[str]:
    """ "a.txt: read as cp1252", "b.pdf: 3 of 12 pages have no text"; how many more there are."""
    lines = [
        f"{visible(name)}: {visible('; '.join([*([f'read as {encoding}'] if encoding else []), *warnings]))}"
        for name, encoding, warnings in outcome.remarks()
    ]
    more = len(lines) - SHOWN_FAILURES
    return [
        *lines[:SHOWN_FAILURES],
        *([f"{counted(more, 'more document')} with warnings: see --json"] if more > 0 else []),
    ]


def skipped(scan: "FileScan") -> list[str]:
    """ "2 of another type (a.zip, b.docx)": with their names where they are few."""
    told = []
    for reason, count in sorted(scan.skipped.items()):
        names = scan.passed_over.get(reason, [])
        named = f" ({', '.join(map(visible, names))})" if len(names) == count else ""
        told.append(f"{count} {reason}{named}")
    return told


def summary(outcome: "Outcome") -> str:
    """ "3 created, 1 replaced, 40 passages"."""
    shown = ("created", "replaced", "unchanged", "deleted")
    counts = outcome.counts()
    parts = [f"{counts[name]:,} {name}" for name in shown if counts[name]]
    if passages := counts["passages"]:
        parts.append(counted(passages, "passage"))
    return ", ".join(parts) or "nothing to do"
