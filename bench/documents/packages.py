"""Debian's packages, fetched by name and unpacked into a cache, never installed."""

import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench.kit import BenchError

CACHE = Path("~/.cache/headworks/documents")
FETCH_SECONDS = 300.0


class CommandFailed(BenchError):
    """A program ended with an error, or not at all."""


class Packages:
    """The unpacked packages below a folder."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache.expanduser()

    def folder(self, package: str) -> Path:
        """Where a package is unpacked."""
        return self._cache / "packages" / package

    def texts(self, package: str) -> Path:
        """Where what is made of a package's files is kept."""
        return self._cache / "texts" / package

    def fetch(self, packages: Iterable[str], say: Callable[[str], None]) -> None:
        """Download and unpack those that are not there; what cannot be had is reported. Raises BenchError without the
        programs that do it."""
        missing = sorted({package for package in packages if not self.folder(package).is_dir()})
        if not missing:
            return
        say(f"fetching {len(missing)} packages into {self._cache}")
        self._cache.mkdir(parents=True, exist_ok=True)
        for package in missing:
            try:
                self._fetch(package)
            except CommandFailed as error:
                say(f"{package} is not to be had: {error}")

    def _fetch(self, package: str) -> None:
        with tempfile.TemporaryDirectory(dir=self._cache) as downloads:
            _run(["apt-get", "-q", "download", package], Path(downloads))
            for archive in Path(downloads).glob("*.deb"):
                self._unpack(archive, self.folder(package))

    def _unpack(self, archive: Path, target: Path) -> None:
        """Whole or not at all, so that a package that is there is all there."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._cache) as unpacked:
            whole = Path(unpacked, target.name)
            _run(["dpkg-deb", "-x", str(archive), str(whole)], self._cache)
            whole.rename(target)


def _run(command: Sequence[str], folder: Path) -> None:
    """Raises CommandFailed with what the command reported, BenchError where there is no such command."""
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=FETCH_SECONDS)
    except FileNotFoundError as error:
        raise BenchError(f"{command[0]} is missing: the corpus is of Debian's packages, and made on Debian") from error
    except subprocess.CalledProcessError as error:
        raise CommandFailed(error.stderr.strip()[-500:]) from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{command[0]} took more than {FETCH_SECONDS:g} s") from error
