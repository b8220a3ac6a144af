"""Why a file cannot be read or written, in words, without Python's own."""

from pathlib import Path

ICONV = "`iconv -f latin1 -t utf-8`"


def why(error: Exception) -> str:
    """What is wrong, with the folder that is missing where one is."""
    if isinstance(error, UnicodeDecodeError):
        return f"it is not valid UTF-8: convert it, for instance by {ICONV}"
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    if not isinstance(error.filename, str):
        return error.strerror
    path = Path(error.filename)
    if isinstance(error, FileNotFoundError) and not path.parent.exists():
        return f"there is no folder {path.parent}"
    return f"{error.strerror}: {path}"
