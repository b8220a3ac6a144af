"""How a verb that follows a run ends, by how the run did."""

from headworks.orchestrator.v1 import run_pb2
from headworks.orchestrator.v1.run_event_pb2 import RunEvent

from cli.errors import CliError
from cli.runs import wording

BROKEN_OFF = (
    run_pb2.FINISH_REASON_ERROR,
    run_pb2.FINISH_REASON_CANCELLED,
    run_pb2.FINISH_REASON_DEADLINE_EXCEEDED,
)
"""A run that ended so has given no answer, or a part of one."""


def check_end(last: RunEvent | None) -> None:
    """Raises CliError for a run that was broken off, by its last event."""
    if last is not None and last.HasField("finished") and last.finished.reason in BROKEN_OFF:
        raise CliError(f"{last.run_id} ended without a whole answer: {wording.end(last.finished)}")
