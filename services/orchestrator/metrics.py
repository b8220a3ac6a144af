"""The orchestrator's own metrics: runs, their outcome, tokens."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

from services.orchestrator.domain.event import UsageReported
from services.runtime.metrics import BUCKETS

RUNS = Counter("headworks_runs_total", "Runs that are over.", ["model", "finish_reason"])
SECONDS = Histogram("headworks_run_seconds", "Time from a run's start to its end.", ["model"], buckets=BUCKETS)
RUNNING = Gauge("headworks_runs_running", "Runs under way.", ["model"])
TOKENS = Counter("headworks_run_tokens_total", "Tokens read and written by runs.", ["model", "direction"])
CONFIDENCE = Histogram(
    "headworks_answer_confidence",
    "Confidence that the passages answer the question, where an answer is quoted.",
    buckets=[tenth / 10 for tenth in range(1, 11)],
)
COMMIT_SECONDS = Histogram(
    "headworks_event_commit_seconds",
    "Time a commit of events took.",
    buckets=[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5],
)
RECORDS_FAILING = Gauge("headworks_run_records_failing", "1 while events cannot be written.")
IDENTITIES = Counter(
    "headworks_run_identities_total", "Identity tokens of long runs: renewed, refused, unavailable.", ["outcome"]
)
PICKED_UP = Counter("headworks_runs_picked_up_total", "Runs of dead processes, taken up or ended.", ["outcome"])


@contextmanager
def running(model: str) -> Iterator[float]:
    """Count a run as under way."""
    RUNNING.labels(model).inc()
    try:
        yield time.monotonic()
    finally:
        RUNNING.labels(model).dec()


def finished(model: str, reason: str, seconds: float, usage: UsageReported) -> None:
    """Count a run that is over. Model names come from the catalogue, so the labels are bounded."""
    RUNS.labels(model, reason).inc()
    SECONDS.labels(model).observe(seconds)
    TOKENS.labels(model, "prompt").inc(usage.prompt_tokens)
    TOKENS.labels(model, "completion").inc(usage.completion_tokens)
