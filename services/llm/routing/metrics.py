"""What routes do. The labels are names of the catalogue, and so bounded."""

from prometheus_client import Counter, Gauge

ATTEMPTS = Counter(
    "headworks_route_attempts_total",
    "Targets that a route has asked, by how that began: ok, the fault's kind, or cancelled.",
    ["route", "target", "outcome"],
)
HEDGES = Counter(
    "headworks_route_hedges_total",
    "Second targets that were asked since the first one was slow, by whether they were faster.",
    ["route", "outcome"],
)
UNRETRIED = Counter(
    "headworks_route_retries_refused_total", "Attempts that were not made again: too many were already.", ["route"]
)
PREFIXES = Counter(
    "headworks_route_prefix_choices_total",
    "Targets chosen by the beginning of a prompt: one was sent it before (shared), or is too busy (busy), or none was "
    "(new), or it is too short to matter (short).",
    ["route", "outcome"],
)
JUDGED = Counter(
    "headworks_route_difficulty_total",
    "Questions that a route has judged by difficulty, by the target that was preferred and why: classifier, heuristic, "
    "explored, or why the classifier abstained.",
    ["route", "target", "why"],
)
BREAKER = Gauge(
    "headworks_model_breaker_open", "Whether a target's breaker is open (1), or lets one call through (0.5).", ["model"]
)
IN_FLIGHT = Gauge("headworks_route_in_flight", "Calls of a target that are under way.", ["model"])
