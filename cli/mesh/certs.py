"""`headworks certs`: the certificates of a development mesh."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.errors import FAILURE, USAGE, CliError
from cli.options import json_option
from cli.output import print_json, print_table
from services.runtime.file_faults import fault

if TYPE_CHECKING:
    from infra.certificates import Shown

OUT = click.Path(file_okay=False, path_type=Path)


@click.group()
def certs() -> None:
    """Make and show the certificates of a development mesh; production mounts its own.

    \b
    Examples:
      headworks certs make --out certs
      headworks certs show certs
    """


@certs.command()
@click.option("--out", type=OUT, required=True, help="Folder of the certificates; made where it is missing.")
@click.option("--host", "hosts", multiple=True, metavar="NAME_OR_ADDRESS", help="What else the edge is called; repeat.")
@click.option("--days", type=click.FloatRange(0, 3650, min_open=True), default=90, show_default=True, help="Lifetime.")
@click.option("--force", is_flag=True, help="Make every certificate anew, of the same CA.")
@json_option
def make(out: Path, hosts: tuple[str, ...], days: float, force: bool, as_json: bool) -> None:
    """Make a CA and certificates for the edge and each service; what is there and still good stays.

    A certificate is made anew when less than a third of its life is left, when it lacks a host, or when it is not of
    the CA in the folder. A running mesh takes up new certificates by itself, all but Triton.

    \b
    Examples:
      headworks certs make --out certs
      headworks certs make --out certs --host mesh.example --host 192.0.2.7
    """
    from infra.certificates import Folder, ensure

    try:
        made = ensure(Folder(out), hosts, days, force)
    except ValueError as error:
        raise CliError(str(error), USAGE) from None
    except OSError as error:
        raise CliError(f"{out} cannot hold certificates: {fault(error)}") from None
    if as_json:
        print_json({"folder": str(out), "made": made})
    else:
        click.echo(f"{out}: made {', '.join(made)}" if made else f"{out}: all certificates are good")


@certs.command()
@click.argument("folder", type=OUT)
@json_option
def show(folder: Path, as_json: bool) -> int:
    """Show until when each certificate in FOLDER is good, and for which hosts.

    Exits with 1 when one has ended.

    \b
    Examples:
      headworks certs show certs
      headworks certs show certs --json | jq -r '.certificates[] | [.name, .ends] | @tsv'
    """
    from infra.certificates import NotACertificate
    from infra.certificates import show as read_certificates

    try:
        certificates = read_certificates(folder)
    except NotACertificate as error:
        raise CliError(str(error)) from None
    if as_json:
        print_json({"certificates": [_as_json(certificate) for certificate in certificates]})
    else:
        print_table(("name", "ends", "days left", "hosts"), [_row(certificate) for certificate in certificates])
    return FAILURE if any(_days_left(certificate) <= 0 for certificate in certificates) else 0


def _row(certificate: "Shown") -> tuple[object, ...]:
    days, hosts = round(_days_left(certificate)), " ".join(certificate.hosts)
    return certificate.name, f"{certificate.ends:%Y-%m-%d %H:%M} UTC", days, hosts


def _as_json(certificate: "Shown") -> dict[str, Any]:
    return {
        "name": certificate.name,
        "hosts": list(certificate.hosts),
        "begins": certificate.begins.isoformat(),
        "ends": certificate.ends.isoformat(),
        "days_left": round(_days_left(certificate), 2),
        "serial": certificate.serial,
    }


def _days_left(certificate: "Shown") -> float:
    return (certificate.ends - datetime.now(UTC)).total_seconds() / 86_400
