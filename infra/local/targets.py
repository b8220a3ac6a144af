"""Where Prometheus finds the processes: a file for its file_sd_configs."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from infra.local.ports import HOST
from infra.local.process import Process


def targets(processes: Iterable[Process]) -> list[dict[str, Any]]:
    """One entry for each process that shows metrics."""
    return [
        {
            "targets": [f"{HOST}:{process.ports[port]}"],
            "labels": {"service": process.spec.service, "replica": process.spec.name, "__metrics_path__": path},
        }
        for process in processes
        for port, path in (process.spec.metrics, *process.spec.more_metrics)
        if port in process.ports
    ]


def write(path: Path, processes: Iterable[Process], written: str) -> str:
    """Replace the file at once, unless it holds this already; returns what it holds."""
    text = json.dumps(targets(processes), indent=1) + "\n"
    if text != written:
        new = path.with_name(f".{path.name}.new")
        new.write_text(text, "utf-8")
        new.replace(path)
    return text
