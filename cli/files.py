"""The files that verbs read and write."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from cli.errors import CliError
from services.runtime.file_faults import ICONV, why


def read_text(path: Path) -> str:
    """The text of a file. Raises CliError."""
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise CliError(f"{path} is not valid UTF-8: convert it, for instance by {ICONV}") from None
    except OSError as error:
        raise CliError(f"{path} cannot be read: {why(error)}") from None


@contextmanager
def destination(file: Path) -> Iterator[IO[bytes]]:
    """Where an export goes: a new file of mode 600, there under its name once it is whole; standard output for "-".
    Raises CliError."""
    if str(file) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = file.with_name(f".{file.name}.part")
    try:
        with suppress(FileNotFoundError):
            part.unlink()
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            yield out
        part.replace(file)
    except OSError as error:
        raise CliError(f"{file} cannot be written: {why(error)}") from None
    finally:
        part.unlink(missing_ok=True)


def append(file: Path, line: bytes) -> None:
    """Append a line to a file, made with mode 600 where there is none; to standard output for "-". It is on the disk on
    return. Raises CliError."""
    if str(file) == "-":
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
        return
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as out:
            out.write(line)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise CliError(f"{file} cannot be written: {why(error)}") from None


def write_pieces(pieces: Iterable[Any], out: IO[bytes]) -> int:
    """Write the data of HttpBody messages; how many bytes."""
    return sum(out.write(piece.data) for piece in pieces)
