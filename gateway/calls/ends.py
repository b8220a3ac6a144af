"""The events with which the gateway itself ends a run."""

from headworks.orchestrator.v1 import run_event_pb2 as event_pb
from headworks.orchestrator.v1 import run_pb2
from headworks.type.v1 import usage_pb2

from gateway.calls.admission import Admission
from gateway.guard.finding import Finding


def stopped_by_guard(admission: Admission) -> list[event_pb.RunEvent]:
    """A guard has stopped the answer."""
    found = admission.blocked
    assert found is not None  # noqa: S101 (what this is for)
    return blocked(found, admission.run_id, admission.told, admission.meter.usage())


def blocked(found: Finding, run_id: str, told: int, usage: usage_pb2.Usage) -> list[event_pb.RunEvent]:
    """Which guard has stopped an answer and why, what was consumed, and the end; after the event numbered `told`."""
    finished = event_pb.RunFinished(reason=run_pb2.FINISH_REASON_CONTENT_FILTER)
    return _numbered(
        run_id,
        told,
        event_pb.RunEvent(verdict=verdict(found)),
        event_pb.RunEvent(usage=event_pb.UsageReported(usage=usage)),
        event_pb.RunEvent(finished=finished),
    )


def out_of_budget(admission: Admission) -> list[event_pb.RunEvent]:
    """The caller's budget is used up: what was consumed, and the end."""
    budget = admission.exceeded.details.get("budget", "")
    finished = event_pb.RunFinished(reason=run_pb2.FINISH_REASON_BUDGET, limit=budget)
    return _numbered(
        admission.run_id,
        admission.told,
        event_pb.RunEvent(usage=event_pb.UsageReported(usage=admission.meter.usage())),
        event_pb.RunEvent(finished=finished),
    )


def verdict(found: Finding) -> event_pb.VerdictGiven:
    """What a guard found, as a verdict."""
    reason = f"{found.category}: {found.reason}" if found.reason else found.category
    return event_pb.VerdictGiven(grader=f"guard:{found.guard}", passed=False, score=found.score, reason=reason)


def _numbered(run_id: str, told: int, *events: event_pb.RunEvent) -> list[event_pb.RunEvent]:
    """The events with their places after the last that was told."""
    for sequence, event in enumerate(events, told + 1):
        event.run_id, event.sequence = run_id, sequence
        event.create_time.GetCurrentTime()
    return list(events)
