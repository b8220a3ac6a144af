"""What a run has done so far, as far as OpenAI's form and what is beyond it tell of it. The text is left to others."""

import time
from dataclasses import dataclass, field

import orjson
from headworks.orchestrator.v1 import run_event_pb2 as event_pb
from headworks.orchestrator.v1 import run_pb2
from headworks.type.v1 import usage_pb2

from gateway.calls.run_answer import finish_word
from services.llm.faults import Fault
from services.llm.openai.calls import NO_ARGUMENTS
from services.llm.openai.chunks import Json, usage_json
from services.llm.route_report import Attempt, Difficulty, JudgedBy, RouteReport

NANOS = 1e9


@dataclass(slots=True)
class Seen:
    """`approvals` are those that the run waits for, by id; `called` counts the caller's own tools that were called;
    `cache` is what the cache has done, where a policy is on; `prompt` the version of the one that the caller named."""

    model: str
    created: int = field(default_factory=lambda: int(time.time()))
    run_id: str = ""
    started: event_pb.RunStarted = field(default_factory=event_pb.RunStarted)
    called: int = 0
    degraded: bool = False
    not_reranked: bool = False
    usage: usage_pb2.Usage = field(default_factory=usage_pb2.Usage)
    routes: list[Json] = field(default_factory=list)
    verdicts: list[Json] = field(default_factory=list)
    approvals: dict[str, event_pb.ApprovalRequested] = field(default_factory=dict)
    finished: event_pb.RunFinished | None = None
    cache: Json = field(default_factory=dict)
    prompt: str = ""

    def take(self, kind: str | None, event: event_pb.RunEvent) -> Json | None:  # noqa: C901 (one case a kind)
        """Take an event of any kind but text. Returns what it adds to the message, as OpenAI's delta; None where it
        adds nothing, as kinds do that this reader does not know."""
        match kind:
            case "started":
                self.run_id, self.started = event.run_id, event.started
            case "passages":
                self.degraded = self.degraded or event.passages.degraded
                self.not_reranked = self.not_reranked or event.passages.not_reranked
            case "model_routed":
                self.routes.append(_route(event.model_routed))
            case "reasoning":
                return {"reasoning_content": event.reasoning.text}
            case "citation":
                return {"annotations": [annotation(event.citation)]}
            case "tool_call" if event.tool_call.callers:
                self.called += 1
                return {"tool_calls": [{"index": self.called - 1, **call(event.tool_call)}]}
            case "usage":
                self.usage = event.usage.usage
            case "verdict":
                self.verdicts.append(_verdict(event.verdict))
            case "approval_request":
                self.approvals[event.approval_request.approval_id] = event.approval_request
            case "approval_decision":
                self.approvals.pop(event.approval_decision.approval_id, None)
            case "finished":
                self.finished = event.finished
        return None

    def head(self, kind: str) -> Json:
        """The fields that every object of this answer begins with."""
        return {"id": f"chatcmpl-{self.run_id}", "object": kind, "created": self.created, "model": self.model}

    @property
    def finish_reason(self) -> str:
        """In OpenAI's words: "stop", "length", "tool_calls" or "content_filter"; beyond them, "budget"."""
        finished = self.finished or event_pb.RunFinished()
        match finished.reason:
            case run_pb2.FINISH_REASON_TOOL_CALLS:
                return "tool_calls"
            case run_pb2.FINISH_REASON_LENGTH:
                return "length"
            case run_pb2.FINISH_REASON_CONTENT_FILTER:
                return "content_filter"
            case run_pb2.FINISH_REASON_BUDGET:
                return "budget"
            case run_pb2.FINISH_REASON_LIMIT if finished.limit == "tokens":
                return "length"
        return "stop"

    def usage_json(self) -> Json:
        used = self.usage
        return usage_json(used.prompt_tokens, used.completion_tokens, used.cached_tokens, used.reasoning_tokens)

    def extension(self, gateway_seconds: float) -> Json:
        """What OpenAI's form has no place for, under "headworks": the run's id, why it ended, what each hop took in
        milliseconds; and where there is such a thing, its session, agent version, limit, cost, verdicts, what the
        last step's route and the cache have decided, and that its search was degraded or not reranked."""
        finished = self.finished or event_pb.RunFinished()
        timings = {"gateway": round(gateway_seconds * 1000, 3)}
        for timing in finished.timings:
            timings[timing.hop] = round(timing.duration.seconds * 1000 + timing.duration.nanos / 1e6, 3)
        optional = {
            "session_id": self.started.session_id,
            "agent_version": self.started.agent_version,
            "limit": finished.limit,
            "cost": self.usage.cost_nanos / NANOS,
            "route": self.routes[-1] if self.routes else None,
            "verdicts": self.verdicts,
            "degraded": self.degraded,
            "not_reranked": self.not_reranked,
            "cache": self.cache,
            "prompt": self.prompt,
            "agent_prompt": self.started.prompt,
        }
        there = {name: value for name, value in optional.items() if value}
        return {"run_id": self.run_id, "finish_reason": finish_word(finished.reason), "timings_ms": timings, **there}

    def pending(self) -> Json:
        """The approvals that the run waits for, under "headworks" too."""
        return {"run_id": self.run_id, "pending_approvals": [_approval(one) for one in self.approvals.values()]}


def annotation(added: event_pb.CitationAdded) -> Json:
    """A citation as an annotation. The indexes are into the answer; what follows `url` is beyond OpenAI's form."""
    citation = added.citation
    return {
        "type": "url_citation",
        "url_citation": {
            "start_index": added.answer_span.start,
            "end_index": added.answer_span.end,
            "title": citation.title,
            "url": citation.uri or citation.document_id,
            "document_id": citation.document_id,
            "passage_id": citation.passage_id,
            "span": {"start": citation.span.start, "end": citation.span.end},
            "quote": citation.quote,
            **({"page": citation.page} if citation.page else {}),
        },
    }


def call(requested: event_pb.ToolCallRequested) -> Json:
    """A call of one of the caller's tools, with what its model's server wants back with it."""
    called = requested.call
    beside = orjson.loads(called.beside) if called.beside else {}
    return {
        **beside,
        "id": called.id,
        "type": "function",
        "function": {"name": called.name, "arguments": called.arguments or NO_ARGUMENTS},
    }


def _route(routed: event_pb.ModelRouted) -> Json:
    return RouteReport(
        routed.route,
        routed.target,
        tuple(
            Attempt(one.target, Fault(one.fault), one.duration.seconds + one.duration.nanos / NANOS)
            for one in routed.failed
        ),
        routed.hedged,
        routed.resumed,
        _difficulty(routed.difficulty) if routed.HasField("difficulty") else None,
    ).json


def _difficulty(judged: event_pb.RouteDifficulty) -> Difficulty:
    return Difficulty(judged.value, JudgedBy(judged.by), judged.abstained, judged.explored)


def _verdict(given: event_pb.VerdictGiven) -> Json:
    told = {"grader": given.grader, "passed": given.passed, "score": given.score, "reason": given.reason}
    return {**told, "attempt": given.attempt, "sentences": list(given.sentences)}


def _approval(requested: event_pb.ApprovalRequested) -> Json:
    kind = event_pb.ApprovalRequested.Kind.Name(requested.kind).removeprefix("KIND_").lower()
    told: Json = {"approval_id": requested.approval_id, "kind": kind, "reason": requested.reason}
    if requested.HasField("call"):
        told["call"] = {"name": requested.call.name, "arguments": requested.call.arguments}
    if requested.HasField("expire_time"):
        told["expire_time"] = requested.expire_time.ToJsonString()
    return told
