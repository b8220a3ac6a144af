"""Debian's packages, fetched by name and unpacked into a cache, never installed."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench.kit import BenchError

CACHE = Path("~/.cache/headworks/documents")
FETCH_SECONDS = 900.0


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
        """Download and unpack those that are not there. Raises BenchError."""
        missing = sorted({package for package in packages if not self.folder(package).is_dir()})
        if not missing:
            return
        say(f"fetching {len(missing)} packages into {self._cache}")
        self._cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._cache) as downloads:
            _run(["apt-get", "-q", "download", *missing], Path(downloads))
            for archive in sorted(Path(downloads).glob("*.deb")):
                self._unpack(archive)

    def _unpack(self, archive: Path) -> None:
        """Whole or not at all, so that a package that is there is all there."""
        target = self.folder(archive.name.partition("_")[0])
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._cache) as unpacked:
            _run(["dpkg-deb", "-x", str(archive), unpacked], self._cache)
            shutil.rmtree(target, ignore_errors=True)
            Path(unpacked, "usr").rename(_empty(target) / "usr")


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _run(command: Sequence[str], folder: Path) -> None:
    """Raises BenchError with what the command said."""
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=FETCH_SECONDS)
    except FileNotFoundError as error:
        raise BenchError(f"{command[0]} is missing: the corpus is of Debian's packages, and made on Debian") from error
    except subprocess.CalledProcessError as error:
        raise BenchError(f"`{' '.join(command[:3])}` failed: {error.stderr.strip()[-500:]}") from error
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"`{' '.join(command[:3])}` took more than {FETCH_SECONDS:g} s") from error
