"""RED metrics of every RPC served, with streaming understood, and the endpoint that shows them."""

from functools import lru_cache

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, start_http_server

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

HANDLED = Counter("headworks_rpc_handled_total", "RPCs served to their end.", ["method", "code"])
SECONDS = Histogram("headworks_rpc_seconds", "Time from a call's start to its end.", ["method"], buckets=BUCKETS)
FIRST_MESSAGE = Histogram(
    "headworks_rpc_first_message_seconds", "Time from a call's start to its first response message.", ["method"],
    buckets=BUCKETS,
)  # fmt: skip
SENT = Counter("headworks_rpc_messages_sent_total", "Response messages sent.", ["method"])
RECEIVED = Counter("headworks_rpc_messages_received_total", "Request messages received.", ["method"])
IN_FLIGHT = Gauge("headworks_rpc_in_flight", "RPCs being served now.", ["method"])


class MethodMetrics:
    """The instruments of one method, its label looked up once."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.seconds = SECONDS.labels(method)
        self.first_message = FIRST_MESSAGE.labels(method)
        self.sent = SENT.labels(method)
        self.received = RECEIVED.labels(method)
        self.in_flight = IN_FLIGHT.labels(method)

    def handled(self, code: str) -> None:
        _handled(self.method, code).inc()


@lru_cache(maxsize=1024)
def of_method(method: str) -> MethodMetrics:
    """The instruments of a method that this process serves (so their number is bounded)."""
    return MethodMetrics(method)


@lru_cache(maxsize=4096)
def _handled(method: str, code: str) -> Counter:
    return HANDLED.labels(method, code)


def serve(host: str, port: int) -> None:
    """Show this process's metrics at http://host:port/metrics, from a thread of its own; port 0 shows none."""
    if port:
        start_http_server(port, addr=host, registry=REGISTRY)
