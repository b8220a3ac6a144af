"""Where Prometheus finds the processes."""

import json
from pathlib import Path

from infra.local.discovery import prometheus_targets, write_targets
from infra.local.ports import PortBook
from infra.local.process import Process
from infra.local.process_host import ProcessHost
from infra.local.spec import Command, Spec
from tests.fakes.probes import Listening


def process(name: str, given: dict[str, int], metrics: tuple[str, str]) -> Process:
    command = Command([], {})
    spec = Spec(name, "service", lambda _: command, Listening(), ports=tuple(given), given=given, metrics=metrics)
    return Process(spec, ProcessHost(), PortBook(), Path("log"), Path(), lambda: None)


async def test_every_process_with_metrics_is_a_target(tmp_path: Path) -> None:
    path = tmp_path / "targets.json"
    processes = [
        process("a-0", {"grpc": 1, "metrics": 2}, ("metrics", "/metrics")),
        process("envoy-0", {"edge": 3, "admin": 4}, ("admin", "/stats/prometheus")),
        process("b-0", {"grpc": 5}, ("metrics", "/metrics")),
    ]
    text = write_targets(path, processes, "")
    assert json.loads(path.read_text()) == prometheus_targets(processes)
    assert [
        (one["targets"], one["labels"]["replica"], one["labels"]["__metrics_path__"])
        for one in prometheus_targets(processes)
    ] == [
        (["127.0.0.1:2"], "a-0", "/metrics"),
        (["127.0.0.1:4"], "envoy-0", "/stats/prometheus"),
    ]
    path.unlink()
    assert write_targets(path, processes, text) == text
    assert not path.exists()
