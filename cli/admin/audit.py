"""`headworks audit`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from headworks.gateway.v1 import audit_service_pb2 as pb

from cli.brief import counted
from cli.errors import FAILURE, CliError
from cli.files import append, destination, write_pieces
from cli.messages import as_dict, list_all, set_fields
from cli.options import MeshOptions, Verb, between_options, on_mesh, tenant_option
from cli.output import print_done, print_list
from services.runtime.file_faults import why

if TYPE_CHECKING:
    from gateway.audit.anchors import Checkpoint

UNCHECKED = "give the gateway's public key with --public-key"
UNSIGNED = "the gateway has signed no record since the first that was read"
COLUMNS = ("time", "subject", "action", "decision", "model", "tokens", "reason", "sequence", "chain")
FIRST = ("time", "action", "decision", "subject", "model", "tokens", "reason")


@click.group()
def audit() -> None:
    """The record of every call and of every change by an administrator.

    \b
    Examples:
      headworks audit list --since 2026-11-20
      headworks audit verify
      headworks audit anchor /backup/anchors.jsonl
      headworks audit export november.jsonl --since 2026-11-01 --until 2026-12-01
      headworks audit verify november.jsonl
    """


def filter_options(verb: Verb) -> Verb:
    verb = click.option("--every-tenant", is_flag=True, help="Of all tenants. For operators.")(verb)
    verb = click.option("--subject", default="", help="Of this user or service account, by name.")(verb)
    return tenant_option(between_options(verb))


@audit.command("list")
@click.option("--most", type=click.IntRange(1, 100_000), default=100, show_default=True, help="The most records shown.")
@filter_options
@on_mesh(60)
def list_(most: int, on: MeshOptions, **options: Any) -> None:
    """List records by time.

    \b
    Example:
      headworks audit list --since 2026-11-20 --subject ada@example.com
    """
    request = set_fields(pb.ListAuditRecordsRequest(), options)
    with on.client() as client:
        rows = [_record(row) for row in islice(list_all(client.audit.ListAuditRecords, request, "records"), most)]
    print_list(on, "records", rows, COLUMNS, "No records.", FIRST)


@audit.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--after", type=click.IntRange(0), default=0, help="From the signed checkpoint at this record.")
@click.option("--chain", type=click.IntRange(1), default=1, show_default=True, help="Which chain that record is in.")
@click.option(
    "--anchor", "anchor_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="ANCHORS",
    help="A file that `headworks audit anchor` has written, which the records have to agree with.",
)  # fmt: skip
@click.option(
    "--public-key", "public_keys", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file of the gateway's public key, for FILE; by default the local mesh's. Again for each of before.",
)  # fmt: skip
@on_mesh(600)
def verify(
    file: Path | None, after: int, chain: int, anchor_file: Path | None, public_keys: tuple[Path, ...], on: MeshOptions
) -> int:
    """Find what was changed, removed, inserted or reordered: in all chains of the gateway's records, or in the export
    FILE, for which no mesh is needed. Ends with 1 where something is wrong.

    \b
    Examples:
      headworks audit verify
      headworks audit verify --anchor /backup/anchors.jsonl
      headworks audit verify november.jsonl --public-key public.pem
    """
    anchors = _anchors(anchor_file) if anchor_file else ()
    report = _verify_file(file, public_keys or _own_key(on), anchors) if file else _verify(after, chain, anchors, on)
    if report["signed"] is None:
        click.echo(f"headworks: no signature was checked: {UNCHECKED if file else UNSIGNED}", err=True)
    print_done(on, _summary(report), **report)
    return 0 if report["sound"] else FAILURE


@audit.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@on_mesh(60)
def anchor(file: Path, on: MeshOptions) -> None:
    """Have the gateway sign where all chains end, and append that to FILE, "-" to print it. A check against FILE finds
    what was cut off, rewritten or replaced since, together with all that the gateway keeps: FILE belongs on another
    machine, or where nothing can be removed.

    \b
    Example:
      headworks audit anchor /backup/anchors.jsonl
    """
    from gateway.audit.anchors import Checkpoint, anchor_line

    with on.client() as client:
        signed = client.audit.AnchorAudit(pb.AnchorAuditRequest()).anchor
    made = Checkpoint(signed.number, signed.heads, signed.time, signed.signature)
    append(file, anchor_line(made))
    if str(file) != "-":
        ends = made.ends.values()
        records = sum(end.sequence for end in ends)
        verb = "is" if records == 1 else "are"
        told = f"{counted(records, 'record')} in {counted(len(ends), 'chain')} {verb} anchored in {file}"
        print_done(on, told, file=str(file), **asdict(made))


@audit.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--content", is_flag=True, help="With what was said, where the tenant has it kept.")
@filter_options
@on_mesh(600)
def export(file: Path, content: bool, on: MeshOptions, **options: Any) -> None:
    """Write records as JSON lines to FILE, "-" to print them. The last line is signed.

    \b
    Example:
      headworks audit export november.jsonl --since 2026-11-01 --until 2026-12-01
    """
    request = set_fields(pb.ExportAuditRequest(content=content), options)
    with destination(file) as out, on.client() as client:
        write_pieces(client.audit.ExportAudit(request), out)


def _anchors(file: Path) -> "Sequence[Checkpoint]":
    from gateway.audit.anchors import read_anchors

    try:
        with file.open("rb") as lines:
            anchors = read_anchors(lines)
    except (OSError, ValueError) as error:
        raise CliError(f"{file} cannot be read: {why(error)}") from None
    if not anchors:
        raise CliError(f"{file} has no anchor")
    return anchors


def _verify(after: int, chain: int, anchors: "Sequence[Checkpoint]", on: MeshOptions) -> dict[str, Any]:
    request = pb.VerifyAuditRequest(after=after, chain=chain)
    for one in anchors:
        request.anchors.add(number=one.number, heads=one.heads, time=one.time, signature=one.signature)
    with on.client() as client:
        return as_dict(client.audit.VerifyAudit(request))


def _verify_file(file: Path, public_keys: Sequence[Path], anchors: "Sequence[Checkpoint]") -> dict[str, Any]:
    from gateway.audit.exported import verify_lines
    from gateway.audit.seal import SealCheck

    try:
        check = SealCheck.read(*(key.read_bytes() for key in public_keys)) if public_keys else None
        with file.open("rb") as lines:
            report = verify_lines(lines, check, anchors)
    except (OSError, ValueError) as error:
        raise CliError(f"{file} cannot be checked: {why(error)}") from None
    findings = [{**asdict(finding), "fault": finding.fault.value} for finding in report.findings]
    chains = [{"chain": chain, **asdict(span)} for chain, span in sorted(report.chains.items())]
    whole = {"records": report.records, "first": report.first, "last": report.last, "sound": report.sound}
    return {**asdict(report), **whole, "findings": findings, "chains": chains}


def _own_key(on: MeshOptions) -> Sequence[Path]:
    """The public key of the local mesh; none where there is no such mesh, or another one is meant."""
    from cli.edge import find_data, normal_url
    from infra.local.layout import Layout
    from infra.local.state import running

    layout = Layout(find_data(on.data))
    if on.edge is not None and on.data is None:
        state = running(layout)
        if state is None or normal_url(state.edge) != normal_url(on.edge):
            return ()
    path = layout.identity_public_key
    return (path,) if path.exists() else ()


def _summary(report: dict[str, Any]) -> str:
    lines = [f"{finding['fault']}: {finding['message']}" for finding in report["findings"]]
    more = report["faults"] - len(lines)
    lines += [f"… and {more:,} more"] if more > 0 else []
    chains = report["chains"]
    if len(chains) > 1:
        lines += [f"chain {one['chain']}: {_numbered(one)}" for one in chains]
        span = f"{counted(report['records'], 'record')} in {counted(len(chains), 'chain')}"
    else:
        span = _numbered(report)
    if report["anchors"]:
        span += f", beside {counted(report['anchors'], 'anchor')}"
    return "\n".join([*lines, f"{span}: {'sound' if report['sound'] else 'not sound'}"])


def _numbered(part: dict[str, Any]) -> str:
    """How many records, and their numbers."""
    records = counted(part["records"], "record")
    match part["records"]:
        case 0:
            return records
        case 1:
            return f"{records}, number {part['first']}"
    return f"{records}, {part['first']} to {part['last']}"


def _record(message: Any) -> dict[str, Any]:
    try:
        record = json.loads(message.record)
    except ValueError:
        record = {}
    columns = {name: record.get(name, "") for name in ("action", "decision", "reason", "model")}
    columns["time"] = datetime.fromtimestamp(record.get("time", 0), UTC).isoformat(timespec="milliseconds")
    columns["tokens"] = record.get("prompt_tokens", 0) + record.get("completion_tokens", 0)
    return {**as_dict(message), **columns, "record": record}
