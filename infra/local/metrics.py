"""The supervisor's own metrics: how each process stands, when certificates end, what is left of the disk."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from infra.local.ports import HOST
from infra.local.process import Process
from services.runtime.vitals import Vitals

LABELS = ("process", "of")


class ProcessMetrics(Collector):
    """Those of each process, as the supervisor knows it this moment. `of` is the service that it is a replica of."""

    def __init__(self, processes: Callable[[], Iterable[Process]]) -> None:
        self._processes = processes

    def collect(self) -> Iterator[Metric]:
        ready = GaugeMetricFamily("headworks_process_ready", "1 while the process is ready.", labels=LABELS)
        restarts = CounterMetricFamily(
            "headworks_process_restarts_total", "Times that the process was started again.", labels=LABELS
        )
        kills = CounterMetricFamily(
            "headworks_process_kills_total",
            "Times that the supervisor killed the process, which was to be started again, by why.",
            labels=(*LABELS, "why"),
        )
        for process in self._processes():
            labels = (process.spec.name, process.spec.service)
            for why, count in process.kills.items():
                kills.add_metric((*labels, why), count)
            ready.add_metric(labels, float(process.ready.is_set()))
            restarts.add_metric(labels, process.restarts)
        yield ready
        yield restarts
        yield kills


@contextlib.contextmanager
def served(
    port: int, processes: Callable[[], Iterable[Process]], data: Path, certificates: Mapping[str, Path]
) -> Iterator[None]:
    """Show them at http://HOST:port/metrics, as long as the block lasts."""
    registry = CollectorRegistry()
    registry.register(ProcessMetrics(processes))
    vitals = Vitals(registry)
    vitals.data({"mesh": data})
    vitals.certificates(certificates.items())
    server, thread = start_http_server(port, HOST, registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
