"""What the demo shows of a language model: a conversation of two questions, and a run of an agent that calls a tool."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headworks.orchestrator.v1 import agent_service_pb2
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1.run_event_pb2 import RunEvent
from headworks.orchestrator.v1.run_pb2 import Message

from cli.client import Client
from cli.errors import CliError
from cli.files import read_text
from cli.output import Flow, console
from cli.runs.answers import Answer, gather
from cli.runs.watch import make_watcher

SESSION = "demo"
QUESTIONS = ("What is a waterwheel? Answer in one sentence.", "Where are they used?")
AGENT = Path("examples/agents/reckoner.yaml")
SUM = "How much is 17 * 23?"
PROJECT = Path(__file__).parents[2]
SECONDS = 300.0
Say = Callable[[str], None]


@dataclass
class Conversation:
    """What was asked and answered, and what the agent did."""

    turns: list[dict[str, Any]] = field(default_factory=list)
    run: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"turns": self.turns, "run": self.run}


def hold(client: Client, say: Say, quiet: bool) -> Conversation:
    """Talk, and run the agent, showing both as they come unless `quiet`. Raises CliError and grpc.RpcError."""
    held = Conversation()
    for question in QUESTIONS:
        say(f"\n==> asking the language model: {question}\n")
        request = pb.RunRequest(model="chat", session_id=SESSION, messages=[_user(question)])
        with Flow(console()) as flow:
            answer = gather(_events(client, request), (lambda _: None) if quiet else flow.write)
        held.turns.append({"question": question, **answer.as_json()})
        say(f"\n    {_speed(answer)}")
    say(f"\n==> running {AGENT.stem}, an agent with a calculator: {SUM}\n")
    client.agents.ApplyAgent(agent_service_pb2.ApplyAgentRequest(spec=read_text(_spec())))
    run, tools = Answer(), _Tools()
    with make_watcher(False) as watcher:
        for event in _events(client, pb.RunRequest(model=AGENT.stem, messages=[_user(SUM)])):
            run.take(event)
            tools.take(event)
            if not quiet:
                watcher.show(event)
    held.run = {"question": SUM, **run.as_json(), "tools": tools.calls}
    return held


@dataclass
class _Tools:
    """The calls of a run, with their results."""

    calls: list[dict[str, Any]] = field(default_factory=list)

    def take(self, event: RunEvent) -> None:
        match event.WhichOneof("event"):
            case "tool_call":
                called = event.tool_call.call
                self.calls.append({"name": called.name, "arguments": json.loads(called.arguments), "result": ""})
            case "tool_result":
                self.calls[-1]["result"] = event.tool_result.content


def _spec() -> Path:
    """The agent's file: of this installation, else of this folder. Raises CliError."""
    for base in (PROJECT, Path.cwd()):
        if (base / AGENT).is_file():
            return base / AGENT
    raise CliError(f"there is no {AGENT}: run the demo where it is")


def _events(client: Client, request: pb.RunRequest) -> Any:
    for response in client.orchestrator.Run(request, timeout=SECONDS):
        yield from response.events


def _user(text: str) -> Message:
    return Message(role=Message.ROLE_USER, content=text)


def _speed(answer: Answer) -> str:
    """The first text's time, and how fast the others came."""
    first, whole = answer.timings_ms.get("first_text", 0.0) / 1000, answer.timings_ms["client"] / 1000
    rate = (answer.completion_tokens - 1) / (whole - first) if whole > first else 0.0
    return f"first text after {first:.2f} s, then {rate:.0f} tokens a second"
