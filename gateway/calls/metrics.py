"""Metrics of upstreams. The models are those of the catalogue, so their number is bounded."""

from prometheus_client import Counter, Histogram

from services.runtime.metrics import BUCKETS

CALLS = Counter(
    "headworks_gateway_upstream_calls_total", "Calls to upstreams, by how they ended.", ["model", "outcome"]
)
FIRST = Histogram(
    "headworks_gateway_upstream_first_byte_seconds",
    "Time from a call to an upstream to the first byte of its answer.",
    ["model"],
    buckets=BUCKETS,
)
UNSCREENABLE = Counter(
    "headworks_gateway_unscreenable_total",
    "Calls that were refused, and answers that were ended, since guards could not read a part of them.",
    ["side"],
)
