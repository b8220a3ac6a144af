"""Whether the data directory takes anything. A process that cannot write there may not say so: its log is there too."""

import os
import tempfile
from pathlib import Path

from infra.local.limits import refusal

NEEDED = 1 << 20
"""Bytes that a database asks for when it is opened, and then some."""


def disk_fault(folder: Path, needed: int = NEEDED) -> str:
    """Why the folder takes no further file of so many bytes, and what to do; empty where it takes one."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, needed)
    except OSError as error:
        error.filename = str(folder)
        return refusal(error) or f"{folder}: {error.strerror}"
    return ""
