"""What a step of an agent takes beyond the model and the tools: the loop, the events, the store."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
from headworks.orchestrator.v1 import agent_service_pb2, run_event_pb2, run_pb2
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1.agent_service_pb2_grpc import AgentServiceStub
from headworks.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub

from bench.kit import BenchError
from bench.kit.figures import Latencies
from bench.kit.mesh import Mesh
from bench.kit.report import Extra
from bench.load import canned

AGENT = "bench-steps"
CALLS = 4
WARM_UP, RUNS = 20, 200
CALL_SECONDS = 30.0
SPEC = f"""\
name: {AGENT}
model: {canned.MODEL}
instructions: Count.
tools: [{canned.TOOL}]
limits: {{steps: {CALLS + 1}}}
"""
NOTE = (
    f"agent steps: {RUNS} runs, one after another, of an agent that calls the calculator {CALLS} times and answers, "
    "its model an upstream that answers at once. By the run's own events: from `started` to `finished` without what "
    "its steps say that they waited for the model and the tools, shared among the times that the model was asked. The "
    "client of the upstream counts as waiting; as seen by the caller counts all, the way through the edge included."
)


@dataclass(frozen=True, slots=True)
class Steps:
    """Per step, in milliseconds: what is the run's own, what it waited, and all as the caller saw it."""

    own: Latencies
    waited: Latencies
    seen: Latencies

    def table(self) -> Extra:
        rows = [
            (name, [found.p50, found.p90, found.p99])
            for name, found in (("own", self.own), ("waited", self.waited), ("as seen by the caller", self.seen))
        ]
        return Extra(f"an agent's step, ms, {CALLS + 1} steps a run", ["", "p50", "p90", "p99"], rows)


def catalogue(folder: Path, url: str, model: str) -> Path:
    """A catalogue with the mesh's own language model and the canned one."""
    file = folder / "catalogue.yaml"
    file.write_text(
        f"models:\n  - {{name: {model}, generator: triton}}\n"
        f"  - {{name: {canned.MODEL}, generator: openai, base_url: {url}, capabilities: [tools]}}\n",
        "utf-8",
    )
    return file


def measure_steps(mesh: Mesh) -> Steps:
    """Raises BenchError."""
    try:
        return asyncio.run(_measure(mesh))
    except grpc.aio.AioRpcError as error:
        raise BenchError(f"a call of the mesh failed: {error.code().name}: {error.details()}") from error


async def _measure(mesh: Mesh) -> Steps:
    call: dict[str, Any] = {"metadata": (("authorization", f"Bearer {mesh.key}"),), "timeout": CALL_SECONDS}
    async with grpc.aio.insecure_channel(mesh.target) as channel:
        agents: Any = AgentServiceStub(channel)
        await agents.ApplyAgent(agent_service_pb2.ApplyAgentRequest(spec=SPEC), **call)
        stub: Any = OrchestratorServiceStub(channel)
        runs = [await _run(stub, call) for _ in range(WARM_UP + RUNS)][WARM_UP:]
    own, waited, seen = zip(*runs, strict=True)
    return Steps(Latencies.of(own), Latencies.of(waited), Latencies.of(seen))


async def _run(stub: Any, call: dict[str, Any]) -> tuple[float, float, float]:
    """Seconds of each step: own, waited, as seen."""
    message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content="Count, please.")
    events: list[run_event_pb2.RunEvent] = []
    loop = asyncio.get_running_loop()
    began = loop.time()
    async for response in stub.Run(pb.RunRequest(model=AGENT, messages=[message]), **call):
        events += response.events
    seen = loop.time() - began
    own, waited, steps = shares(events)
    if steps != CALLS + 1:
        raise BenchError(f"a run asked its model {steps} times, not {CALLS + 1}: {events[-1]}")
    return own / steps, waited / steps, seen / steps


def shares(events: Sequence[run_event_pb2.RunEvent]) -> tuple[float, float, int]:
    """Of a whole run: seconds of its own, seconds waited, and how often the model was asked."""
    total = events[-1].create_time.ToDatetime() - events[0].create_time.ToDatetime()
    finished = [event.step_finished for event in events if event.HasField("step_finished")]
    waited = sum((step.waited.ToTimedelta() for step in finished), timedelta())
    asked = sum(step.kind == run_event_pb2.STEP_KIND_GENERATE for step in finished)
    return (total - waited).total_seconds(), waited.total_seconds(), asked
