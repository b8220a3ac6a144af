"""`headworks sync`."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
import grpc

from cli.brief import counted
from cli.errors import FAILURE, USAGE, CliError
from cli.files import read_text
from cli.options import MeshOptions, on_mesh
from cli.output import print_json, visible

if TYPE_CHECKING:
    from headworks.retrieval.v1.document_pb2 import Document

    from cli.client import Client
    from cli.documents.sync_file import SourceSpec
    from cli.documents.sync_plan import SourcePlan

SIGNS = {"created": "+", "replaced": "~", "relabelled": "~", "deleted": "-"}
# What is wrong with one collection, and not with the others.
OF_THE_COLLECTION = (
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.PERMISSION_DENIED,
)
MOST_LINES = 20
MOST_NAMED = 1000


@dataclass
class SourceReport:
    """What became of a source: ids by what changed; `failures` by name; `kept` is not deleted, for the reason that
    `doubt` gives; `error` says why nothing of it could be read at all."""

    name: str
    kind: str
    collection: str
    changes: dict[str, list[str]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    kept: int = 0
    doubt: str = ""
    error: str = ""
    passages: int = 0
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        return bool(self.error or self.failures)

    def as_json(self) -> dict[str, Any]:
        """The report for programs."""
        counts = {name: len(ids) for name, ids in self.changes.items()}
        named = {name: ids[:MOST_NAMED] for name, ids in self.changes.items() if name in SIGNS}
        failures = [{"document_id": name, "message": why} for name, why in self.failures.items()]
        return {
            "name": self.name, "kind": self.kind, "collection": self.collection, **counts, "failed": len(failures),
            "kept": self.kept, "kept_because": self.doubt, "passages": self.passages, "skipped": self.skipped,
            "changes": named, "failures": failures, "error": self.error, "seconds": round(self.seconds, 2),
        }  # fmt: skip


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Read the sources, report what would change, and change nothing.")
@click.option("--source", "names", multiple=True, metavar="NAME", help="Only this source; may be repeated.")
@click.option("--yes", is_flag=True, help="Delete what a source had even where it, or a folder in it, is empty now.")
@on_mesh(3600)
def sync(file: Path, dry_run: bool, names: tuple[str, ...], yes: bool, on: MeshOptions) -> int:
    """Keep collections equal to the sources in FILE: folders, sites, checkouts, archives, exports.

    What is new or has changed is ingested, what a source has no more is deleted, and all else is left: documents of
    other sources, and those that came by `headworks ingest`. A source that cannot be read, or was not seen whole,
    deletes nothing; the others go on, and the command ends with 1.

    \b
    Example of a FILE:
      collection: handbook
      sources:
        - {name: guides, kind: folder, path: guides, labels: {team: hydro}}
        - {name: site, kind: web, url: https://example.com/docs/, depth: 2}

    \b
    Examples:
      headworks sync sources.yaml --dry-run
      headworks sync sources.yaml --source site --json
    """
    from cli.documents.sync_file import BadSyncFile, parse_sync_file

    try:
        wanted = parse_sync_file(read_text(file))
    except BadSyncFile as error:
        raise CliError(f"{file}: {error}", USAGE) from None
    specs = [spec for spec in wanted.sources if not names or spec.name in names]
    if unknown := set(names) - {spec.name for spec in specs}:
        raise CliError(f"{file} has no source {', '.join(sorted(unknown))}", USAGE)
    reports: list[SourceReport] = []
    try:
        with on.client() as client:
            for spec in specs:
                reports.append(
                    sync_source(client, spec, wanted.collection_of(spec), file.absolute().parent, dry_run, yes, on)
                )
                if not on.as_json:
                    _print(reports[-1], dry_run)
    finally:
        if on.as_json and reports:
            print_json({"dry_run": dry_run, "sources": [report.as_json() for report in reports]})
    return FAILURE if any(report.failed for report in reports) else 0


def sync_source(
    client: "Client",
    spec: "SourceSpec",
    collection: str,
    base: Path,
    dry_run: bool,
    even_empty: bool,
    on: MeshOptions,
) -> SourceReport:
    """Make the collection equal to a source, whose paths are relative to `base`; nothing is changed in a `dry_run`.
    `even_empty` deletes though nothing is left in a source, or in a folder of it. Raises grpc.RpcError where the mesh
    is at fault, not the collection, and CliError."""
    from cli.documents.sources.reading import reading
    from cli.documents.sources.source import BadSource
    from cli.documents.sync_plan import make_plan
    from cli.documents.upload import stored_documents

    started = time.monotonic()
    report = SourceReport(spec.name, spec.kind, collection)
    try:
        stored = {document.id: document for document in stored_documents(client, collection, on.timeout)}
        with TemporaryDirectory(prefix="headworks-") as workspace:
            with reading(spec.name, on.as_json):
                plan = make_plan(spec, spec.source(base), stored.values(), Path(workspace), even_empty)
            _carry_out(client, plan, stored, report, dry_run, on)
    except BadSource as error:
        report.error = f"{error}; nothing was changed"
    except grpc.RpcError as error:
        if error.code() not in OF_THE_COLLECTION:
            raise
        report.error, report.changes = str(client.explain(error)), {}
    report.seconds = time.monotonic() - started
    return report


def _carry_out(
    client: "Client", plan: "SourcePlan", stored: "Mapping[str, Document]", report: SourceReport, dry_run: bool,
    on: MeshOptions,
) -> None:  # fmt: skip
    from cli.documents.sync_plan import changes

    report.changes = changes(plan, stored)
    report.failures, report.skipped = plan.failures, plan.scan.skipped
    report.kept, report.doubt = plan.kept, plan.doubt
    if not dry_run and (plan.documents or plan.gone):
        _send(client, plan, report, on)


def _send(client: "Client", plan: "SourcePlan", report: SourceReport, on: MeshOptions) -> None:
    """Send all, of what has not changed the heads alone: the service knows best what has. What failed is no change."""
    from cli.documents.ingest import ingest_files
    from cli.documents.upload import UNCHANGED

    outcome = ingest_files(
        client, plan.documents, report.collection, bool(plan.gone), on.timeout, on.as_json, plan.gone, lambda _: True,
        groups=plan.groups,
    )  # fmt: skip
    report.failures |= {name: message or reason for name, reason, message in outcome.failures()}
    report.passages = outcome.counts()["passages"]
    for name, ids in report.changes.items():
        report.changes[name] = [each for each in ids if each not in report.failures]
    written = [each for each in report.changes["unchanged"] if outcome.results[each].outcome != UNCHANGED]
    report.changes["relabelled"] += written
    report.changes["unchanged"] = [each for each in report.changes["unchanged"] if each not in set(written)]


def _print(report: SourceReport, dry_run: bool) -> None:
    where = f"{report.name} → {report.collection}"
    if report.error:
        click.echo(f"{where}: {report.error}", err=True)
        return
    click.echo(f"{where}: {_summary(report, dry_run)} in {report.seconds:.1f} s")
    lines = [f"  {sign} {visible(each)}" for name, sign in SIGNS.items() for each in report.changes.get(name, ())]
    for line in _cut(lines):
        click.echo(line)
    if report.skipped:
        click.echo("  skipped: " + ", ".join(f"{count} {reason}" for reason, count in sorted(report.skipped.items())))
    if report.kept:
        click.echo(f"  kept: {counted(report.kept, 'document')} that were not found: {report.doubt}")
    for line in _cut([f"  failed: {visible(name)}: {visible(why)}" for name, why in report.failures.items()]):
        click.echo(line, err=True)


def _summary(report: SourceReport, dry_run: bool) -> str:
    parts = [f"{len(ids):,} {name}" for name, ids in report.changes.items() if ids]
    if report.passages:
        parts.append(counted(report.passages, "passage"))
    said = ", ".join(parts) or "nothing to do"
    return f"would be {said}" if dry_run and parts else said


def _cut(lines: Sequence[str]) -> list[str]:
    left = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], *([f"  … and {left:,} more"] if left > 0 else [])]
