"""How a service's records are written."""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class WriterMetrics:
    """Of the writers of one service."""

    def __init__(self, service: str) -> None:
        prefix = f"headworks_{service}_records"
        self.commit_seconds = Histogram(
            f"{prefix}_commit_seconds", "Time that writing one batch of records took.", buckets=BUCKETS
        )
        self.waiting = Gauge(f"{prefix}_waiting", "Records that wait to be written.")
        self.lost = Counter(f"{prefix}_lost_total", "Records that could not be written.")


@cache
def writer_metrics(service: str) -> WriterMetrics:
    """The service's, which all its writers share."""
    return WriterMetrics(service)
