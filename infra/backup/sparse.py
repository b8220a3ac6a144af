"""The parts of a file that hold data. A collection's files are made large in advance, and are mostly holes."""

import errno
import os
from collections.abc import Iterator

Extents = list[tuple[int, int]]
"""Offset and length of each part, in order."""
CHUNK = 1 << 20
MOST_EXTENTS = 4096


def extents(descriptor: int, size: int) -> Extents:
    """The parts of the file that may hold something; the rest is zeros. All of it where the file system cannot say."""
    found: Extents = []
    end = 0
    while end < size and len(found) < MOST_EXTENTS:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return found
            return [(0, size)]
        if start >= size:
            return found
        end = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        found.append((start, end - start))
    if end < size:
        found.append((end, size - end))
    return found


def pieces(descriptor: int, offset: int, length: int) -> Iterator[bytes]:
    """A part of a file. Raises EOFError where it ends before."""
    while length:
        data = os.pread(descriptor, min(CHUNK, length), offset)
        if not data:
            raise EOFError
        yield data
        offset, length = offset + len(data), length - len(data)
