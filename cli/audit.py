"""`headworks audit`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cli.admin import asked, between_options, done, every, facts, show_all, tenant_option
from cli.errors import FAILURE, CliError
from cli.exporting import destination, write_pieces
from cli.target import Target, on_mesh

UNCHECKED = "give the gateway's public key with --public-key"
UNSIGNED = "the gateway has signed no record since the first that was read"
COLUMNS = ("chain", "sequence", "time", "subject", "action", "decision", "reason", "model", "tokens")


@click.group()
def audit() -> None:
    """The record of every call and of every change by an administrator.

    \b
    Examples:
      headworks audit list --since 2026-11-20
      headworks audit verify
      headworks audit export november.jsonl --since 2026-11-01 --until 2026-12-01
      headworks audit verify november.jsonl
    """


def wanted_options(verb: Any) -> Any:
    verb = click.option("--every-tenant", is_flag=True, help="Of all tenants. For operators.")(verb)
    verb = click.option("--subject", default="", help="Of this user or service account, by name.")(verb)
    return tenant_option(between_options(verb))


@audit.command("list")
@click.option("--most", type=click.IntRange(1, 100_000), default=100, show_default=True, help="The most records shown.")
@wanted_options
@on_mesh(60)
def list_(most: int, on: Target, **given: Any) -> None:
    """List records by time.

    \b
    Example:
      headworks audit list --since 2026-11-20 --subject ada@example.com
    """
    from headworks.gateway.v1 import admin_service_pb2 as pb

    request = asked(pb.ListAuditRecordsRequest(), given)
    found: list[dict[str, Any]] = []
    with on.calling() as client:
        for one in every(client.admin.ListAuditRecords, request, "records", on.options(client)):
            found.append(_record(one))
            if len(found) == most:
                break
    show_all(on, "records", found, COLUMNS, "No records.")


@audit.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--after", type=click.IntRange(0), default=0, help="From the signed checkpoint at this record.")
@click.option("--chain", type=click.IntRange(1), default=1, show_default=True, help="Which chain that record is in.")
@click.option(
    "--public-key", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file of the gateway's public key, for FILE; by default the local mesh's.",
)  # fmt: skip
@on_mesh(600)
def verify(file: Path | None, after: int, chain: int, public_key: Path | None, on: Target) -> int:
    """Find what was changed, removed, inserted or reordered: in all chains of the gateway's records, or in the export
    FILE, for which no mesh is needed. Ends with 1 where something is wrong.

    \b
    Examples:
      headworks audit verify
      headworks audit verify november.jsonl --public-key public.pem
    """
    told = _verify_file(file, public_key or _own_key(on)) if file else _verify(after, chain, on)
    if told["signed"] is None:
        click.echo(f"headworks: no signature was checked: {UNCHECKED if file else UNSIGNED}", err=True)
    done(on, _said(told), **told)
    return 0 if told["sound"] else FAILURE


@audit.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--content", is_flag=True, help="With what was said, where the tenant has it kept.")
@wanted_options
@on_mesh(600)
def export(file: Path, content: bool, on: Target, **given: Any) -> None:
    """Write records as JSON lines to FILE, "-" to print them. The last line is signed.

    \b
    Example:
      headworks audit export november.jsonl --since 2026-11-01 --until 2026-12-01
    """
    from headworks.gateway.v1 import admin_service_pb2 as pb

    request = asked(pb.ExportAuditRequest(content=content), given)
    with destination(file) as out, on.calling() as client:
        write_pieces(client.admin.ExportAudit(request, **on.options(client)), out)


def _verify(after: int, chain: int, on: Target) -> dict[str, Any]:
    from headworks.gateway.v1 import admin_service_pb2 as pb

    with on.calling() as client:
        return facts(client.admin.VerifyAudit(pb.VerifyAuditRequest(after=after, chain=chain), **on.options(client)))


def _verify_file(file: Path, public_key: Path | None) -> dict[str, Any]:
    from dataclasses import asdict

    from gateway.audit.exported import verify_lines
    from gateway.audit.seal import SealCheck

    try:
        check = SealCheck.read(public_key.read_bytes()) if public_key else None
        with file.open("rb") as lines:
            report = verify_lines(lines, check)
    except (OSError, ValueError) as error:
        raise CliError(f"{file} cannot be checked: {error}") from None
    findings = [{**asdict(one), "fault": one.fault.value} for one in report.findings]
    chains = [{"chain": chain, **asdict(one)} for chain, one in sorted(report.chains.items())]
    whole = {"records": report.records, "first": report.first, "last": report.last, "sound": report.sound}
    return {**asdict(report), **whole, "findings": findings, "chains": chains}


def _own_key(on: Target) -> Path | None:
    """The public key of the local mesh; None where there is no such mesh, or another one is meant."""
    from cli.find import find_data, normal_url
    from infra.local.layout import Layout
    from infra.local.state import running

    layout = Layout(find_data(on.data))
    if on.edge is not None and on.data is None:
        state = running(layout)
        if state is None or normal_url(state.edge) != normal_url(on.edge):
            return None
    path = layout.identity_public_key
    return path if path.exists() else None


def _said(told: dict[str, Any]) -> str:
    lines = [f"{one['fault']}: {one['message']}" for one in told["findings"]]
    more = told["faults"] - len(lines)
    lines += [f"… and {more:,} more"] if more > 0 else []
    chains = told["chains"]
    spans = [f"chain {one['chain']}: {one['records']:,} records, {one['first']} to {one['last']}" for one in chains]
    if len(chains) > 1:
        lines += spans
        span = f"{told['records']:,} records in {len(chains)} chains"
    else:
        span = f"{told['records']:,} records, {told['first']} to {told['last']}"
    return "\n".join([*lines, f"{span}: {'sound' if told['sound'] else 'not sound'}"])


def _record(one: Any) -> dict[str, Any]:
    import json

    try:
        held = json.loads(one.record)
    except ValueError:
        held = {}
    told = {name: held.get(name, "") for name in ("action", "decision", "reason", "model")}
    told["time"] = datetime.fromtimestamp(held.get("time", 0), UTC).isoformat(timespec="milliseconds")
    told["tokens"] = held.get("prompt_tokens", 0) + held.get("completion_tokens", 0)
    return {**facts(one), **told, "record": held}
