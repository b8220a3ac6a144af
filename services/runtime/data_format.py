"""What form the data in a folder has, said in a small file of the folder, so that no version reads what it cannot.

The number grows where an older version of Headworks could not read, or would harm, what this one writes. A folder
without the file is from before there was one: what is in it is migrated by whoever owns it. The file is written before
the first migration begins, so that a migration that was cut off goes on, and an older version does not start on it.
"""

import json
import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from services.runtime.errors import CannotStart

FILE = "format.json"
UNVERSIONED = 1
FORMAT = 2
"""Of a mesh's data directory. 1: no file; runs in a table `runs`, or no migrations. 2: the records are migrated."""


class DataTooNew(CannotStart):
    """The data was written by a newer version."""


class DataFormatUnreadable(CannotStart):
    """The file is there, but does not say what the data is."""


@dataclass(frozen=True, slots=True)
class DataFormat:
    """`product`: the version of Headworks that wrote the file; empty where there is none."""

    number: int
    product: str = ""


def product_version() -> str:
    try:
        return version("headworks")
    except PackageNotFoundError:
        return "unknown"


def read(folder: Path) -> DataFormat:
    """Raises DataFormatUnreadable; OSError where the folder may not be looked into."""
    path = folder / FILE
    try:
        said = json.loads(path.read_bytes())
        number, product = said["format"], said["headworks"]
    except FileNotFoundError:
        return DataFormat(UNVERSIONED)
    except (ValueError, TypeError, KeyError) as error:
        raise DataFormatUnreadable(
            f"{path} does not say which format the data has: put it back from a backup, or choose another directory"
        ) from error
    if type(number) is not int or number < UNVERSIONED or not isinstance(product, str):
        raise DataFormatUnreadable(f"{path} names no format of data: put it back from a backup")
    return DataFormat(number, product)


def check(found: DataFormat, what: str) -> None:
    """Raises DataTooNew, naming `what` holds the data."""
    if found.number > FORMAT:
        raise DataTooNew(
            f"{what} was written by Headworks {found.product} (data format {found.number}); this is Headworks "
            f"{product_version()}, which knows formats up to {FORMAT}. Install {found.product} or later, or restore a "
            "backup that this version made. Nothing was changed"
        )


def mark(folder: Path) -> None:
    """Say that the data is of this version's format from here on; kept through a loss of power. Raises OSError."""
    now = DataFormat(FORMAT, product_version())
    if read(folder) == now:
        return
    write(folder, now)


def write(folder: Path, data: DataFormat) -> None:
    fresh = folder / f".{FILE}.new"
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(json.dumps({"format": data.number, "headworks": data.product}) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / FILE)
