"""Metrics of the rate limits."""

from prometheus_client import Counter, Gauge

LIMITED = Counter(
    "headworks_gateway_rate_limited_total", "Calls refused for a rate limit of requests, tokens or streams.", ["limit"]
)
WITHOUT_SHARED = Counter(
    "headworks_gateway_limits_unshared_total",
    "Calls decided without the counters in Redis, by what the setting limits_when_redis_is_gone says.",
    ["decided"],
)
SHARED_GONE = Gauge("headworks_gateway_limits_redis_gone", "1 while the counters in Redis cannot be reached.")
