"""What every process shows of itself as metrics: its version, whether it is ready and what it lacks, the space where it
keeps data, and when its certificates end."""

import os
import platform
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

from cryptography import x509
from prometheus_client import Gauge
from prometheus_client.registry import REGISTRY, CollectorRegistry

from services.runtime.health import Readiness
from services.runtime.tls import TlsFiles

NAN = float("nan")
DISTRIBUTION = "headworks"


class Vitals:
    """The gauges, in `registry`. Their values are looked up when somebody asks."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._build = Gauge(
            "headworks_build_info", "1, by version of the process and of its Python.", ["version", "python"],
            registry=registry,
        )  # fmt: skip
        self._free = Gauge(
            "headworks_data_free_bytes", "Bytes left where the process keeps data.", ["data"], registry=registry
        )
        self._size = Gauge(
            "headworks_data_size_bytes", "Bytes of the file system there, used or not.", ["data"], registry=registry
        )
        self._expiry = Gauge(
            "headworks_certificate_expiry_timestamp_seconds", "When a certificate of the process ends.",
            ["certificate"], registry=registry,
        )  # fmt: skip
        self._build.labels(_version(), platform.python_version()).set(1)

    def data(self, folders: Mapping[str, Path]) -> None:
        """Show the space of the file systems that these folders are in, by what is kept there."""
        for name, folder in folders.items():
            self._free.labels(name).set_function(_free(folder))
            self._size.labels(name).set_function(_size(folder))

    def certificates(self, files: Iterable[tuple[str, Path]]) -> None:
        """Show when the first certificate in each file ends, by name."""
        for name, file in files:
            self._expiry.labels(name).set_function(_ends(file))


class ReadinessMetrics:
    """Whether a service is ready, and which of its dependencies are well."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._ready = Gauge("headworks_ready", "1 while the service takes calls.", registry=registry)
        self._dependency = Gauge(
            "headworks_dependency_ready", "1 while what the service depends on is well.", ["dependency", "needed"],
            registry=registry,
        )  # fmt: skip

    def show(self, readiness: Readiness) -> None:
        self._ready.set_function(lambda: float(readiness.ready))
        for name in readiness.dependencies:
            needed = str(readiness.needs(name)).lower()
            self._dependency.labels(name, needed).set_function(_is_well(readiness, name))


def tls_certificates(tls: TlsFiles | None) -> list[tuple[str, Path]]:
    """A service's own certificate and that of its authority."""
    return [("own", tls.certificate), ("ca", tls.ca)] if tls else []


def _version() -> str:
    try:
        return installed(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"


def _free(folder: Path) -> Callable[[], float]:
    return lambda: _of(folder, lambda disk: disk.f_bavail * disk.f_frsize)


def _size(folder: Path) -> Callable[[], float]:
    return lambda: _of(folder, lambda disk: disk.f_blocks * disk.f_frsize)


def _of(folder: Path, what: Callable[[os.statvfs_result], int]) -> float:
    """Of the folder, or of what is to hold it; not a number where that cannot be told."""
    for place in (folder.absolute(), *folder.absolute().parents):
        try:
            return float(what(os.statvfs(place)))
        except FileNotFoundError:
            continue
        except OSError:
            break
    return NAN


def _ends(file: Path) -> Callable[[], float]:
    def seconds() -> float:
        try:
            return x509.load_pem_x509_certificates(file.read_bytes())[0].not_valid_after_utc.timestamp()
        except (OSError, ValueError):
            return NAN

    return seconds


def _is_well(readiness: Readiness, name: str) -> Callable[[], float]:
    return lambda: float(readiness.is_well(name))


VITALS = Vitals()
READINESS = ReadinessMetrics()
