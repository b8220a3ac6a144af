"""Metrics of the judgement on prompt injection."""

from prometheus_client import Counter, Histogram

CACHED = Counter("headworks_gateway_injection_cached_total", "Texts whose score was remembered.")
UNJUDGED = Counter("headworks_gateway_injection_unjudged_total", "Texts that the model did not judge in time.")
BATCH = Histogram(
    "headworks_gateway_injection_batch_texts",
    "Texts that the model was asked about at once.",
    buckets=(1, 2, 4, 8, 16, 32, 64),
)
