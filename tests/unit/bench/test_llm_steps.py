from pathlib import Path

import pytest
from headworks.orchestrator.v1 import run_event_pb2 as pb

from bench.llm.steps import catalogue, shares
from services.orchestrator.generate import catalogue_file


def event(at: float, **fields: object) -> pb.RunEvent:
    made = pb.RunEvent(**fields)  # type: ignore[arg-type]
    made.create_time.FromMicroseconds(round(at * 1e6))
    return made


def step(kind: pb.StepKind.ValueType, waited: float) -> pb.StepFinished:
    made = pb.StepFinished(kind=kind)
    made.waited.FromMicroseconds(round(waited * 1e6))
    return made


def test_what_a_run_did_not_wait_for_is_its_own() -> None:
    events = [
        event(10.0, started=pb.RunStarted()),
        event(10.2, step_finished=step(pb.STEP_KIND_GENERATE, 0.1)),
        event(10.3, step_finished=step(pb.STEP_KIND_TOOLS, 0.05)),
        event(10.5, step_finished=step(pb.STEP_KIND_GENERATE, 0.15)),
        event(10.6, finished=pb.RunFinished()),
    ]
    own, waited, steps = shares(events)
    assert own == pytest.approx(0.3)
    assert waited == pytest.approx(0.3)
    assert steps == 2


def test_the_catalogue_can_be_read(tmp_path: Path) -> None:
    read = catalogue_file.read(catalogue(tmp_path, "http://127.0.0.1:1/v1", "llm"))
    assert [entry.name for entry in read.entries] == ["llm", "canned"]
