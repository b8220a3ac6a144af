"""The language model's own metrics; vLLM's (`vllm:…`) stand beside them at the same endpoint."""

from prometheus_client import REGISTRY, Counter, Gauge, start_http_server

REQUESTS = Counter("headworks_llm_requests_total", "Generations let in.", ["priority"])
SHED = Counter("headworks_llm_shed_total", "Generations refused because the queue was full.", ["priority"])
CANCELLED = Counter("headworks_llm_cancelled_total", "Generations ended early, by what ended them.", ["cause"])
REUSED = Counter("headworks_llm_prompts_reused_total", "Generations whose prompt had been rendered to be counted.")
QUEUED = Gauge("headworks_llm_queued", "Generations that wait for the engine.")
UNDER_WAY = Gauge("headworks_llm_under_way", "Generations let in and not yet ended.")


def serve(host: str, port: int) -> None:
    """Show the metrics at http://host:port/metrics, from a thread of its own; port 0 shows none."""
    if port:
        start_http_server(port, addr=host, registry=REGISTRY)
