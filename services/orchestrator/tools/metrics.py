"""Metrics of tool calls."""

from prometheus_client import Counter, Gauge, Histogram

from services.orchestrator.domain.tool import ToolResult
from services.runtime.metrics import BUCKETS

MAX_NAMES = 256
OTHER = "other"

CALLS = Counter("headworks_tool_calls_total", "Tool calls that are over.", ["tool"])
ERRORS = Counter("headworks_tool_errors_total", "Tool calls that gave an error result.", ["tool", "reason"])
SECONDS = Histogram("headworks_tool_seconds", "Time a tool call took, retries included.", ["tool"], buckets=BUCKETS)
RETRIES = Counter("headworks_tool_retries_total", "Attempts after the first of a call.", ["tool"])
STUCK = Gauge("headworks_tool_calls_stuck", "Calls that were cancelled and still run.")

_names: set[str] = set()


def label(name: str) -> str:
    """The tool's name as a label. Names come from specs and from MCP servers: the first 256 are told apart."""
    if name in _names:
        return name
    if len(_names) >= MAX_NAMES:
        return OTHER
    _names.add(name)
    return name


def called(result: ToolResult, *, known: bool) -> None:
    """Count a call that is over. A name that only the model knows is no label."""
    tool = label(result.name) if known else OTHER
    CALLS.labels(tool).inc()
    SECONDS.labels(tool).observe(result.seconds)
    if result.attempts > 1:
        RETRIES.labels(tool).inc(result.attempts - 1)
    if result.error_reason is not None:
        ERRORS.labels(tool, result.error_reason.value).inc()
