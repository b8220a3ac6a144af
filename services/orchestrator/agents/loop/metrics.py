"""Metrics of agents' steps."""

from prometheus_client import Counter, Histogram

from services.orchestrator.domain.event import StepFinished, VerdictGiven

STEPS = Counter("headworks_agent_steps_total", "Steps of agents that are over.", ["kind"])
OWN_SECONDS = Histogram(
    "headworks_agent_step_own_seconds",
    "Time of a step beyond its model and its tools: the loop, the events, the store.",
    ["kind"],
    buckets=[0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.05, 0.25, 1],
)
LIMITS = Counter("headworks_agent_limits_total", "Runs that a limit ended.", ["limit"])
UNSCREENED = Counter("headworks_agent_unscreened_total", "Times that texts were read without the guards.", ["what"])
VERDICTS = Counter("headworks_agent_verdicts_total", "Verdicts of graders.", ["grader", "passed"])


def step(finished: StepFinished) -> None:
    """Count a step that is over."""
    kind = finished.kind.name.lower()
    STEPS.labels(kind).inc()
    OWN_SECONDS.labels(kind).observe(max(0.0, finished.seconds - finished.waited))


def limit(name: str) -> None:
    """Count a run that the limit ended. Tools' names come from specs: they are no labels."""
    LIMITS.labels(name.partition(":")[0]).inc()


def verdict(given: VerdictGiven) -> None:
    VERDICTS.labels(given.grader, "undecided" if given.undecided else str(given.passed).lower()).inc()
