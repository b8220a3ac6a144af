"""Agents as tools: a question in, the answer with its sources out, by the one pipeline of runs."""

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import grpc
import mcp_types as types
import orjson
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import run_event_pb2 as event_pb
from headworks.orchestrator.v1 import run_pb2

from gateway.access.authorize import allows, may, missing, require
from gateway.access.permissions import run as run_needs
from gateway.budgets.errors import BudgetExceeded
from gateway.calls.run_answer import Events
from gateway.calls.runs import RunCalls
from gateway.faces.http.mcp.tools import OfferedTool, Progress
from gateway.faces.http.openai import fields
from gateway.faces.http.openai.seen import Seen, annotation
from gateway.faces.http.openai.waiting import patiently
from gateway.mcp.names import tool_name
from services.runtime import clients
from services.runtime.call import Call, outgoing

ASK = "ask"
REPORT_SECONDS = 1.0
"""How often at most the growth of an answer is reported."""
_STOPPED = {"content_filter": "A guard has ended this answer.", "budget": "A budget has ended this answer."}
_TEXT = {"type": "string"}
INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "question": {"type": "string", "description": "What is asked, whole and in words."},
        "collection": {"type": "string", "description": "The collection to read, where the agent leaves that open."},
        "session_id": {"type": "string", "description": "Names a conversation to go on with; made at its first use."},
    },
    "required": ["question"],
    "additionalProperties": False,
}
OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "answer": _TEXT,
        "sources": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": dict.fromkeys(("title", "url", "document_id", "passage_id", "quote"), _TEXT),
            },
        },
        "run_id": _TEXT,
        "finish_reason": _TEXT,
    },
    "required": ["answer", "sources", "run_id", "finish_reason"],
}
_STEPS = {
    event_pb.STEP_KIND_RETRIEVE: "searching", event_pb.STEP_KIND_GENERATE: "asking the model",
    event_pb.STEP_KIND_TOOLS: "calling tools", event_pb.STEP_KIND_GRADE: "grading the answer",
    event_pb.STEP_KIND_REPAIR: "repairing the answer", event_pb.STEP_KIND_SUMMARISE: "summarizing",
}  # fmt: skip


class AgentTools:
    """Every agent that a caller may call is a tool; bare models are none."""

    def __init__(self, orchestrator: grpc.aio.Channel, runs: RunCalls) -> None:
        self._orchestrator = pb_grpc.OrchestratorServiceStub(orchestrator)
        self._runs = runs

    async def tools(self, call: Call) -> Sequence[OfferedTool]:
        if call.identity is None:
            raise missing("models.call:*")
        scopes = call.identity.scopes
        return [self._offered(agent) for agent in await self._agents(call) if allows(scopes, _needs(agent.id))]

    async def tool(self, name: str, call: Call) -> OfferedTool | None:
        if not name.startswith(f"{ASK}_"):
            return None
        for agent in await self._agents(call):
            if tool_name(ASK, agent.id) == name and may(call, _needs(agent.id)):
                return self._offered(agent)
        return None

    async def _agents(self, call: Call) -> list[pb.Model]:
        asked = self._orchestrator.ListModels(pb.ListModelsRequest(), **outgoing(call.remaining, call))
        return [model for model in (await clients.unary(asked)).models if model.agent_version]

    def _offered(self, agent: pb.Model) -> OfferedTool:
        async def ask(arguments: Mapping[str, Any], call: Call, progress: Progress) -> types.CallToolResult:
            return await self._ask(agent.id, dict(arguments), call, progress)

        declared = types.Tool(
            name=tool_name(ASK, agent.id),
            title=f"Ask {agent.id}",
            description=agent.description or f"Answers questions with sources: the agent {agent.id}.",
            input_schema=INPUT,
            output_schema=OUTPUT,
        )
        return OfferedTool(declared, ask)

    async def _ask(self, agent: str, arguments: dict[str, Any], call: Call, progress: Progress) -> types.CallToolResult:
        fields.known(arguments, INPUT["properties"], "")
        request = pb.RunRequest(
            model=agent,
            messages=[run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=fields.text(arguments, "question"))],
            collection=fields.maybe_text(arguments, "collection"),
            session_id=fields.maybe_text(arguments, "session_id"),
        )
        require(call, *run_needs(agent, request.collection, request.session_id))
        seen, answer, reports = Seen(agent), _Answer(), _Reports(progress)
        async with (
            aclosing(self._runs.run(request, call)) as batches,
            aclosing(patiently(batches, seen, call)) as events,
        ):
            await self._read(events, seen, answer, reports)
        return answer.result(seen)

    async def _read(
        self, events: AsyncGenerator[Events, None], seen: Seen, answer: "_Answer", reports: "_Reports"
    ) -> None:
        try:
            async for batch in events:
                for event in batch:
                    kind = event.WhichOneof("event")
                    answer.take(kind, event)
                    if kind != "text":
                        seen.take(kind, event)
                    await reports.of(kind, event, len(answer.text))
        except BudgetExceeded:
            if seen.finished is None:
                raise  # before anything was answered


class _Answer:
    """What a run has said so far, and on what it rests."""

    def __init__(self) -> None:
        self.text = ""
        self.sources: list[dict[str, Any]] = []

    def take(self, kind: str | None, event: event_pb.RunEvent) -> None:
        if kind == "text":
            self.text += event.text.text
        elif kind == "citation":
            cited = annotation(event.citation)["url_citation"]
            names = ("title", "url", "document_id", "passage_id", "quote", "page", "start_index", "end_index")
            self.sources.append({name: cited[name] for name in names if name in cited})

    def result(self, seen: Seen) -> types.CallToolResult:
        """The answer as text with its sources below it, and the same as JSON."""
        found = {
            "answer": self.text,
            "sources": self.sources,
            "run_id": seen.run_id,
            "finish_reason": seen.finish_reason,
        }
        stopped = _STOPPED.get(seen.finish_reason, "")
        said = [part for part in (self.text, stopped, self._listed()) if part] or ["(no answer)"]
        text = types.TextContent(type="text", text="\n\n".join(said))
        return types.CallToolResult(content=[text], structured_content=found, is_error=bool(stopped))

    def _listed(self) -> str:
        lines = [
            f"[{number}] {source['title'] or source['document_id']}, {source['url']}: {_quoted(source['quote'])}"
            for number, source in enumerate(self.sources, 1)
        ]
        return "\n".join(["Sources:", *lines]) if lines else ""


class _Reports:
    """What a run does, in words; each kind when it happens, the growth of the answer now and then."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._due = 0.0

    async def of(self, kind: str | None, event: event_pb.RunEvent, characters: int) -> None:
        if kind == "text":
            if time.monotonic() < self._due:
                return
            self._due = time.monotonic() + REPORT_SECONDS
        if words := _words(kind, event, characters):
            await self._progress(words)


def _words(kind: str | None, event: event_pb.RunEvent, characters: int) -> str:
    match kind:
        case "started":
            return f"the run {event.run_id} has begun"
        case "step_started":
            return _STEPS.get(event.step_started.kind, "working")
        case "passages":
            return f"{len(event.passages.passages)} passages found"
        case "tool_call":
            return f"calling the tool {event.tool_call.call.name}"
        case "approval_request":
            return f"waiting for a person to decide the approval {event.approval_request.approval_id}"
        case "text":
            return f"answering: {characters} characters so far"
    return ""


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def _needs(agent: str) -> str:
    return f"models.call:{agent}"
