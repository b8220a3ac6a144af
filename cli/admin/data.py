"""`headworks data`."""

from pathlib import Path

import click
from headworks.gateway.v1 import privacy_service_pb2 as pb

from cli.brief import counted
from cli.errors import USAGE, CliError
from cli.files import destination, write_pieces
from cli.messages import as_dict
from cli.options import MeshOptions, agreed, on_mesh, tenant_option, yes_option
from cli.output import print_done, print_record

WHOLE = "everything of the tenant"


@click.group()
def data() -> None:
    """Export and erase what is kept of a person or of a tenant, and set for how long things are kept.

    \b
    Examples:
      headworks data export ada.jsonl --subject ada@example.com
      headworks data erase --subject ada@example.com
      headworks data retention --keep runs=30 --keep sessions=30
    """


@data.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--subject", default="", help="The user or service account, by name; by default everything.")
@tenant_option
@on_mesh(600)
def export(file: Path, subject: str, tenant: str, on: MeshOptions) -> None:
    """Write all that is kept of a person, or of the tenant, to FILE as JSON lines; "-" to print them.

    \b
    Example:
      headworks data export ada.jsonl --subject ada@example.com
    """
    with destination(file) as out, on.client() as client:
        request = pb.ExportDataRequest(tenant=tenant, subject=subject)
        write_pieces(client.privacy.ExportData(request), out)


@data.command()
@click.option("--subject", default="", help="The user or service account, by name.")
@click.option("--everything", is_flag=True, help="Everything of the tenant, in place of one person's.")
@yes_option
@tenant_option
@on_mesh(600)
def erase(subject: str, everything: bool, yes: bool, tenant: str, on: MeshOptions) -> None:
    """Erase all that is kept of a person, or of the tenant. One that broke off goes on when asked for again.

    \b
    Example:
      headworks data erase --subject ada@example.com --yes
    """
    if bool(subject) == everything:
        raise CliError("say whose: --subject NAME or --everything", USAGE)
    if not yes:
        agreed(f"Erase all that is kept of {subject or WHOLE}? It cannot be brought back.")
    counts: dict[str, int] = {}
    with on.client() as client:
        request = pb.EraseDataRequest(tenant=tenant, subject=subject, confirm=True, everything=everything)
        for step in client.privacy.EraseData(request):
            if step.kind:
                counts[step.kind] = step.erased
    erased = ", ".join(_erased(kind, count) for kind, count in counts.items() if count)
    print_done(on, f"Erased: {erased or 'nothing was kept'}.", erased=counts)


@data.command()
@click.option("--keep", "kept", multiple=True, metavar="KIND=DAYS", help="Days a kind is kept, 0 for ever; repeatable.")
@click.option("--content/--no-content", default=None, help="Whether questions and answers go into the audit.")
@tenant_option
@on_mesh(30)
def retention(kept: tuple[str, ...], content: bool | None, tenant: str, on: MeshOptions) -> None:
    """Show for how long things are kept, or change it. Kinds: runs, sessions, usage, audit_content.

    \b
    Examples:
      headworks data retention
      headworks data retention --keep runs=30 --keep usage=400 --no-content
    """
    days = dict(_days(option) for option in kept)
    with on.client() as client:
        retained = client.privacy.GetRetention(pb.GetRetentionRequest(tenant=tenant)).retention
        if days or content is not None:
            keep = retained.keep_content if content is None else content
            request = pb.SetRetentionRequest(tenant=tenant, keep_content=keep, days=dict(retained.days) | days)
            retained = client.privacy.SetRetention(request).retention
    print_record(on, as_dict(retained))


def _days(option: str) -> tuple[str, int]:
    kind, _, days = option.partition("=")
    if not days.isdecimal() or len(days) > 5:
        raise CliError(f"--keep {option!r} is not KIND=DAYS, such as runs=30", USAGE)
    return kind, int(days)


def _erased(kind: str, count: int) -> str:
    """Kinds are plurals: "1 run"."""
    words = kind.replace("_", " ")
    return counted(count, words.removesuffix("s"), words)
