"""Unix sockets in place of ports: the file's owner alone may connect, whoever else has an account on the machine."""

import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

SCHEME = "unix:"
LISTS = (SCHEME, "ipv4:", "ipv6:")
"""Schemes whose targets may have several addresses."""
PRIVATE = 0o077
"""The umask that makes all that a process writes its owner's alone."""
LONGEST_NAME = "identity-00.sock.new"
"""No socket of a mesh has a longer name than this."""


def target(path: Path) -> str:
    """The gRPC target of the socket at `path`, for servers and clients alike."""
    return SCHEME + quote(str(path), safe="/:")


def targets(paths: Sequence[Path]) -> str:
    """The gRPC target of several, for clients."""
    return SCHEME + ",".join(target(path).removeprefix(SCHEME) for path in paths)


def each(target: str) -> list[str]:
    """The targets that are named with commas between; what comes behind one with the scheme unix:, ipv4: or ipv6: has
    it too, as gRPC and `targets` write it."""
    scheme = next((one for one in LISTS if target.startswith(one)), "")
    names = filter(None, (name.strip() for name in target.split(",")))
    return [name if name.startswith((*LISTS, "dns:", "xds:")) else f"{scheme}{name}" for name in names]


def is_unix(target: str) -> bool:
    """Whether a gRPC target is a Unix socket."""
    return target.startswith(SCHEME)


@contextmanager
def private() -> Iterator[None]:
    """Sockets made meanwhile have mode 600 from the first moment."""
    usual = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(usual)


def holds_sockets(folder: Path) -> bool:
    """Whether sockets can be made in `folder`: its path is short enough, and its file system has them."""
    path = folder / LONGEST_NAME
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            path.unlink(missing_ok=True)
            probe.bind(str(path))
        path.unlink()
    except OSError:
        return False
    return True


def private_folder() -> Path:
    """A new folder with a short path, of mode 700, for sockets that fit nowhere else."""
    return Path(tempfile.mkdtemp(prefix="headworks-"))
