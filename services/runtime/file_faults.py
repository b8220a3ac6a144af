"""Why a file cannot be read or written, in words, without Python's own or the system's."""

import errno
from pathlib import Path

ICONV = "`iconv -f latin1 -t utf-8`"
FAULTS = {
    errno.EMFILE: "too many files are open in one process",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENOMEM: "there is not enough memory",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your share of the disk is used up",
    errno.EROFS: "its file system is read-only",
    errno.EACCES: "you may not read or write there",
    errno.EPERM: "you may not read or write there",
    errno.ENAMETOOLONG: "its path is too long",
    errno.ENOTDIR: "a part of its path is no directory",
    errno.EISDIR: "it is a directory",
    errno.ELOOP: "its path has too many symbolic links",
    errno.EIO: "the disk has an error",
}
"""What the system's number of an error means."""


def fault(error: OSError) -> str:
    """What is wrong, without where."""
    return FAULTS.get(error.errno or 0) or error.strerror or str(error)


def why(error: Exception) -> str:
    """What is wrong, with the folder that is missing where one is."""
    if isinstance(error, UnicodeDecodeError):
        return f"it is not valid UTF-8: convert it, for instance by {ICONV}"
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    if not isinstance(error.filename, str):
        return fault(error)
    path = Path(error.filename)
    if isinstance(error, FileNotFoundError) and not path.parent.exists():
        return f"there is no folder {path.parent}"
    return f"{fault(error)}: {path}"
