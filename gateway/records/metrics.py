"""How the records are written."""

from prometheus_client import Counter, Gauge, Histogram

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

COMMIT_SECONDS = Histogram(
    "headworks_gateway_records_commit_seconds", "Time that writing one batch of records took.", buckets=BUCKETS
)
WAITING = Gauge("headworks_gateway_records_waiting", "Records that wait to be written.")
LOST = Counter("headworks_gateway_records_lost_total", "Records that could not be written.")
