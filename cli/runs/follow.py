"""The events of a run, followed to its end whatever becomes of the connection."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1.run_event_pb2 import RunEvent

from cli.client import Client, broke_off

Lost = Callable[[str], None]
# A service that is starting again, or a stream that the gateway held to its own time limit.
RESUMABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
RESUME_SECONDS = 0.5
LOST_SECONDS = 60.0
FAILURES_TOLD = 2


def follow(
    client: Client, run_id: str, after: int, seconds: float, call: Any = None, lost: Lost = lambda _: None
) -> Iterator[RunEvent]:
    """The events after the sequence number `after`, each once, until the run's last, for `seconds` at most. `call` is a
    stream of them that is open already. Where a stream breaks, another goes on from the last sequence number; that is
    given up after a minute without news. `lost` is told once where the next does not open either. Raises grpc.RpcError.
    """
    until, last, failures = time.monotonic() + seconds, time.monotonic(), 0
    while True:
        try:
            call = call or _attach(client, run_id, after, until - time.monotonic())
            for event in _events(call):
                last, failures = time.monotonic(), 0
                if event.sequence > after:
                    after = event.sequence
                    yield event
                if event.HasField("finished"):
                    return
        except grpc.RpcError as error:
            now = time.monotonic() + RESUME_SECONDS
            if not resumable(error) or now >= until or now > last + LOST_SECONDS:
                raise
            failures += 1
            if failures == FAILURES_TOLD:
                lost(f"{client.explain(error)}; trying again for up to {min(until, last + LOST_SECONDS) - now:.0f} s")
        call = None
        time.sleep(RESUME_SECONDS)


def resumable(error: grpc.RpcError) -> bool:
    code = error.code()
    return code in RESUMABLE or broke_off(error)


def so_far(client: Client, run_id: str, timeout: float) -> list[RunEvent]:
    """What the run has done up to now. Raises grpc.RpcError."""
    run = client.orchestrator.GetRun(pb.GetRunRequest(run_id=run_id), timeout=timeout).run
    events: list[RunEvent] = []
    for event in _events(_attach(client, run_id, 0, timeout)) if run.last_sequence else ():
        events.append(event)
        if event.sequence >= run.last_sequence:
            break
    return events


def _attach(client: Client, run_id: str, after: int, timeout: float) -> Any:
    request = pb.AttachRequest(run_id=run_id, after_sequence=after)
    return client.orchestrator.Attach(request, timeout=max(0.1, timeout))


def _events(call: Iterable[Any]) -> Iterator[RunEvent]:
    """The events of a stream, which is cancelled when it is left early."""
    try:
        for response in call:
            yield from response.events
    finally:
        call.cancel()  # type: ignore[attr-defined]  # a gRPC call
