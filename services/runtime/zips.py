"""What of a zip archive is too much to unpack, before any of it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from zipfile import ZipInfo

ENCRYPTED = 0x1
"""The flag of an entry that needs a password."""


@dataclass(frozen=True, slots=True)
class ZipLimits:
    """Of one archive: entries, bytes that all unpack to, and how many times an entry may be larger than its packed
    form. An entry of fewer than `suspect_bytes` may be packed as tightly as it likes."""

    entries: int
    total_bytes: int
    ratio: int
    suspect_bytes: int


def excess(entries: Sequence[ZipInfo], limits: ZipLimits) -> str:
    """What is too much, in words; empty where nothing is."""
    if len(entries) > limits.entries:
        return f"it has {len(entries)} entries; {limits.entries} are the most, files and folders together"
    total = sum(entry.file_size for entry in entries)
    if total > limits.total_bytes:
        return f"it unpacks to {total} bytes; {limits.total_bytes} are the most"
    for entry in entries:
        if entry.file_size > limits.suspect_bytes and entry.file_size > limits.ratio * max(1, entry.compress_size):
            return f"its entry {entry.orig_filename[:200]!r} unpacks to more than {limits.ratio} times its size"
    return ""
