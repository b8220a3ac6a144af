"""The load generator: h2load of nghttp2, over HTTP/1.1 with connections that are kept."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.gateway.probe import HttpTarget
from bench.kit import BenchError
from bench.kit.figures import Latencies

COMMAND = "h2load"
SLACK_SECONDS = 60.0
_STATUSES = re.compile(r"^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", re.MULTILINE)
_REQUESTS = re.compile(r"^requests: .* (\d+) failed, (\d+) errored, (\d+) timeout", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class H2Load:
    """What came of it: answers within the measured seconds, and their latency."""

    answered: int
    rate: float
    latency: Latencies


def require() -> None:
    """Raises BenchError where h2load is missing."""
    if shutil.which(COMMAND) is None:
        raise BenchError("h2load is missing; on Debian: apt-get install nghttp2-client")


def for_seconds(target: HttpTarget, connections: int, seconds: float, warm_up: float) -> H2Load:
    """Ask for a while, after a warm-up that does not count. Raises BenchError for anything but answers of 200."""
    limits = [f"--duration={seconds:g}", f"--warm-up-time={warm_up:g}"]
    answered, logged = _run(target, connections, limits, seconds + warm_up + SLACK_SECONDS)
    if not logged:
        raise BenchError(f"{target.url} answered nothing within the measured {seconds:g} s; give it more")
    return H2Load(answered, answered / seconds, Latencies.of([micros / 1e6 for micros in logged]))


def so_many(target: HttpTarget, connections: int, requests: int, seconds: float = 3600) -> None:
    """Ask so often. Raises BenchError for anything but answers of 200."""
    answered, _ = _run(target, connections, [f"--requests={requests}"], seconds, logs=False)
    if answered != requests:
        raise BenchError(f"{requests} requests got {answered} answers from {target.url}")


def _run(
    target: HttpTarget, connections: int, limits: Sequence[str], seconds: float, logs: bool = True
) -> tuple[int, list[float]]:
    with tempfile.TemporaryDirectory(prefix="headworks-bench-") as folder:
        body, log = Path(folder) / "body", Path(folder) / "log"
        body.write_bytes(target.body)
        headers = {"content-type": "application/json", **target.headers}
        argv = [
            COMMAND, "--h1", f"--clients={connections}", *limits, f"--data={body}",
            *([f"--log-file={log}"] if logs else []), *(f"--header={name}: {value}" for name, value in headers.items()),
            target.url,
        ]  # fmt: skip
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            raise BenchError(f"h2load did not end within {seconds:g} s of asking {target.url}") from None
        return _answered(target, done.stdout + done.stderr), _latencies(log) if logs else []


def _answered(target: HttpTarget, said: str) -> int:
    statuses, requests = _STATUSES.search(said), _REQUESTS.search(said)
    if not statuses or not requests:
        raise BenchError(f"h2load did not say how it went with {target.url}:\n{said}")
    good, *others = map(int, statuses.groups())
    if any(others) or any(map(int, requests.groups())) or not good:
        raise BenchError(f"{target.url}: {statuses[0]}; {requests[0]}")
    return good


def _latencies(log: Path) -> list[float]:
    """Microseconds of each request: the third column."""
    return [float(line.split("\t")[2]) for line in log.read_text("utf-8").splitlines()]
