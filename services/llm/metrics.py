"""What models do, by their names in the catalogue, so that the labels are bounded."""

from prometheus_client import Counter, Gauge, Histogram

from services.llm.generation import TokenCounts
from services.runtime.metrics import BUCKETS

FIRST = Histogram(
    "headworks_model_first_token_seconds", "From asking a model to its first piece.", ["model"], buckets=BUCKETS
)
BETWEEN = Histogram(
    "headworks_model_inter_token_seconds", "Between two pieces of an answer.", ["model"], buckets=BUCKETS
)
SECONDS = Histogram("headworks_model_seconds", "From asking a model to its end.", ["model"], buckets=BUCKETS)
TOKENS = Counter(
    "headworks_model_tokens_total", "Tokens read, written, found in a cache, and put there.", ["model", "direction"]
)
ENDS = Counter("headworks_model_generations_total", "Generations that are over, by how they ended.", ["model", "end"])
RUNNING = Gauge("headworks_model_running", "Generations under way.", ["model"])
WAITING = Gauge("headworks_model_waiting", "Generations that wait for a place.", ["model"])
DISBELIEVED = Counter(
    "headworks_model_usage_disbelieved_total",
    "Answers whose upstream reported a usage that cannot be, so that other numbers were booked.",
    ["model"],
)
RETRIES = Counter("headworks_model_retries_total", "Attempts that were made again.", ["model"])


class ModelMetrics:
    """The instruments of one model, its label looked up once."""

    def __init__(self, model: str) -> None:
        self._model = model
        self.first = FIRST.labels(model)
        self.between = BETWEEN.labels(model)
        self.seconds = SECONDS.labels(model)
        self.running = RUNNING.labels(model)
        self.waiting = WAITING.labels(model)
        self.retries = RETRIES.labels(model)
        self._tokens = {name: TOKENS.labels(model, name) for name in ("prompt", "completion", "cached", "kept")}

    def used(self, tokens: TokenCounts) -> None:
        self._tokens["prompt"].inc(tokens.read)
        self._tokens["completion"].inc(tokens.written)
        self._tokens["cached"].inc(tokens.cached)
        self._tokens["kept"].inc(tokens.kept)

    def ended(self, end: str) -> None:
        """`end`: a Finish, the name of an error's kind, or "left"."""
        ENDS.labels(self._model, end).inc()
