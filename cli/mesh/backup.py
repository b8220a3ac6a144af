"""`headworks backup` and `headworks restore`."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.brief import counted
from cli.errors import USAGE, CliError
from cli.options import DATA_DEFAULT, data_option, json_option
from cli.output import console, print_json

if TYPE_CHECKING:
    from infra.backup.places import Places

OnBytes = Callable[[str, int], None]


@click.command()
@click.argument("target", type=click.Path(path_type=Path), metavar="FILE|DIR")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="TOML file with settings, as for `up`.")
@click.option(
    "--partial",
    is_flag=True,
    help="Leave out what is in PostgreSQL or on a Qdrant server: their own tools save that.",
)
@data_option
@json_option
def backup(target: Path, config: Path | None, partial: bool, data: Path | None, as_json: bool) -> None:
    """Save the data of a mesh, which may be running: records, collections, keys and certificates.

    FILE is written anew when all of it is there; in a DIR the file gets a name with the time. It holds secrets, and is
    its owner's alone. Settings, and the files that they name, are yours to keep.

    \b
    Examples:
      headworks backup /srv/backups
      headworks backup mesh.tar --data /srv/headworks --json
    """
    from infra.backup.errors import BackupFailed
    from infra.backup.save import expected_bytes, save

    started = time.monotonic()
    try:
        places = _places(data, config)
        with _progress(expected_bytes(places), as_json) as progress:
            saved = save(places, target, progress, partial)
    except BackupFailed as error:
        raise CliError(str(error)) from None
    made = saved.manifest
    if as_json:
        print_json({
            "file": str(saved.file), "bytes": saved.bytes, "format": made.data.number, "headworks": made.data.product,
            "time": made.time, "collections": made.collections, "files": len(made.files),
            "elsewhere": list(made.elsewhere), "seconds": round(time.monotonic() - started, 2),
        })  # fmt: skip
        return
    click.echo(f"{saved.file}: {counted(made.collections, 'collection')}, records and keys, {mebibytes(saved.bytes)}")
    for left in made.elsewhere:
        click.echo(f"not in it: {left}")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), envvar="HEADWORKS_DATA", default=DATA_DEFAULT,
    show_default=True, help="Data directory to make; it must not be there, or be empty.",
)  # fmt: skip
@click.option("--replace", is_flag=True, help="Restore though there is data; that is kept under another name.")
@click.option("--check", "only_check", is_flag=True, help="Read all of the backup, and write nothing.")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="TOML file with settings, as for `up`.")
@json_option
def restore(file: Path, data: Path, replace: bool, only_check: bool, config: Path | None, as_json: bool) -> None:
    """Make a data directory of a backup, all of which is checked before anything is written.

    A mesh goes on from it as after a crash: runs that were under way when it was made are taken up or ended.

    \b
    Examples:
      headworks restore mesh.tar --data /srv/headworks
      headworks restore mesh.tar --check
    """
    from infra.backup.errors import BackupFailed
    from infra.backup.restore import check, total_bytes
    from infra.backup.restore import restore as put_back

    started, replaced = time.monotonic(), None
    try:
        total = total_bytes(file)
        with _progress(total if only_check else 2 * total, as_json) as progress:
            if only_check:
                made = check(file, lambda count: progress("checking", count))
            else:
                restored = put_back(file, data, lambda count: progress("restoring", count), replace)
                made, replaced = restored.manifest, restored.replaced
        outside = [] if only_check else _places(data, config).outside
    except BackupFailed as error:
        raise CliError(str(error)) from None
    if as_json:
        print_json({
            "file": str(file), "data": None if only_check else str(data.absolute()), "format": made.data.number,
            "headworks": made.data.product, "time": made.time, "collections": made.collections,
            "files": len(made.files), "replaced": None if replaced is None else str(replaced),
            "elsewhere": list(made.elsewhere), "not_read": list(outside),
            "seconds": round(time.monotonic() - started, 2),
        })  # fmt: skip
        return
    click.echo(f"{file} is whole" if only_check else f"{data} is as it was at {made.time}")
    if replaced is not None:
        click.echo(f"what was there is in {replaced}")
    for left in made.elsewhere:
        click.echo(f"not in the backup: {left}")
    for named in outside:
        click.echo(f"{named}, where nothing was restored: take that setting away, or put the files there")


def _places(data: Path | None, config: Path | None) -> "Places":
    """Raises CliError, BackupFailed."""
    from cli.edge import find_data
    from infra.backup.places import find_places
    from infra.local.options import BadOptions, make_options

    try:
        return find_places(make_options(find_data(data), None, {}, config, os.environ))
    except (BadOptions, ValueError) as error:
        raise CliError(str(error), USAGE) from None


@contextmanager
def _progress(total: int, quiet: bool) -> Iterator[OnBytes]:
    """A bar of bytes on a terminal; elsewhere nothing but the report at the end."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    out = console(stderr=True)
    if quiet or not out.is_terminal:
        yield lambda *_: None
        return
    columns: tuple[Any, ...] = (
        BarColumn(), DownloadColumn(), TransferSpeedColumn(), TextColumn("{task.description}", markup=False),
    )  # fmt: skip
    with Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda what, count: bar.update(task, advance=count, description=what)


def mebibytes(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"
