"""Runs in the cache: what is compared of a request, which answers are kept, and how one is given again."""

import logging
import secrets
import time
from collections.abc import AsyncGenerator
from functools import partial
from math import ceil

import grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import run_event_pb2 as event_pb
from headworks.orchestrator.v1 import run_pb2

from gateway.cache.entry import RUN, CachedAnswer, Used
from gateway.cache.policy import CachePolicy
from gateway.cache.question import Asked, Question, question_of, readers
from gateway.cache.semantic.facts import LONGEST
from gateway.cache.turn import CacheTurn
from gateway.calls.agents import Agents, ResolvedModel
from gateway.calls.call import ModelCall
from gateway.calls.documents import Documents
from gateway.calls.run_answer import Events
from services.runtime.call import Call
from services.runtime.errors import DomainError

log = logging.getLogger(__name__)

# Of a run whose answer may be given again: no tool was called, and nobody was asked.
_KINDS = frozenset(
    ("started", "passages", "text", "reasoning", "citation", "usage", "finished", "step_started", "step_finished",
     "verdict")
)  # fmt: skip
# What is sent with a question and does not change its answer.
_UNCOMPARED = ("messages", "priority")
# Clocks of two hosts, and of one document that is written while it is read.
_SLACK_SECONDS = 1.0


AGENTS_PROMPT = "agents_prompt"
"""Which version of its agent's prompt a call was compared with, among the call's notes."""


class RunRecorder:
    """The events of one run as they go out, where the cache wants them."""

    def __init__(self, call: ModelCall) -> None:
        self.call = call
        self.documents: set[str] = set()
        self.prompt = ""
        self.started = time.time()
        self._events: list[bytes] = []
        self._said: list[str] = []
        self._keeps = call.turn.keeps
        self._ended = False

    @property
    def whole(self) -> bool:
        """Whether it is an answer that others may have."""
        return self._keeps and self._ended and self.call.blocked is None and self.call.unchanged

    def add(self, events: Events) -> None:
        for event in events:
            if event.HasField("model_routed"):
                continue  # no model is asked when it is given again
            self._keeps = self._keeps and _is_plain(event)
            if not self._keeps:
                return
            self._ended = event.HasField("finished")
            if event.HasField("started"):
                self.prompt = event.started.prompt
            if event.HasField("citation"):
                self.documents.add(event.citation.citation.document_id)
            self.documents.update(each.document_id for each in event.passages.passages)
            self._said.append(event.text.text)
            self._events.append(event.SerializeToString())

    @property
    def said(self) -> str:
        return "".join(self._said)

    def body(self) -> bytes:
        return pb.RunResponse(events=map(event_pb.RunEvent.FromString, self._events)).SerializeToString()


class CachedRuns:
    """`agents` and `documents` say what a run reads."""

    def __init__(self, agents: Agents, documents: Documents) -> None:
        self._agents = agents
        self._documents = documents

    def asked(self, call: Call, request: pb.RunRequest, model: ResolvedModel) -> Asked:
        """How the cache compares a request."""
        return partial(self._question, call, request, model)

    async def offer(self, recorder: RunRecorder, request: pb.RunRequest, model: ResolvedModel) -> None:
        """Give a run that is over to the cache, if others may have it."""
        call = recorder.call
        if not call.turn.keeps:
            return
        versions = None
        if recorder.whole and recorder.prompt == call.incoming.notes.get(AGENTS_PROMPT, ""):
            try:
                reads = await self._agents.reads(call.incoming, model)
                collections = reads.of(request.collection) if reads is not None else ()
                versions = await self._documents.versions(call.incoming, collections, recorder.documents)
            except (grpc.aio.AioRpcError, DomainError):
                log.info("an answer is not kept: what it rests on cannot be looked at")
        since = (recorder.started - _SLACK_SECONDS) * 1e9
        if versions is None or any(each.updated > since for each in versions):
            call.turn.decline()
            return
        meter = call.meter
        used = Used(meter.prompt_tokens, meter.completion_tokens, meter.cost_nanos)
        call.turn.keep(RUN, recorder.body(), used, versions, recorder.said)

    async def _question(
        self, call: Call, request: pb.RunRequest, model: ResolvedModel, policy: CachePolicy
    ) -> Question | None:
        """None for a run of a session, whose other messages are not in the request, and for one that goes on."""
        if call.identity is None or request.session_id or request.detached:
            return None
        try:
            reads = await self._agents.reads(call, model)
            state = await self._documents.state(call, reads.of(request.collection)) if reads is not None else None
            prompt = call.notes[AGENTS_PROMPT] = await self._agents.prompt(call, model)
        except (grpc.aio.AioRpcError, DomainError):
            return None
        if state is None:
            return None
        rest = pb.RunRequest()
        rest.CopyFrom(request)
        for name in _UNCOMPARED:
            rest.ClearField(name)  # type: ignore[arg-type]  # the names are those of fields
        messages = pb.RunRequest(messages=request.messages)
        told, text = _alone(request) if policy.semantic is not None else ("", "")
        asked = [model.name, model.version, model.models, *([prompt] if prompt else ())]
        shared = {
            "told": told,
            "readers": readers(call.identity, policy), "model": asked,
            "reads": state, "fields": rest.SerializeToString(deterministic=True).hex(),
        }  # fmt: skip
        question = messages.SerializeToString(deterministic=True).hex()
        return question_of(RUN, shared, question, partial(self._current, call), text)

    async def _current(self, call: Call, answer: CachedAnswer) -> bool:
        try:
            return await self._documents.current(call, answer)
        except (grpc.aio.AioRpcError, DomainError):
            return False


async def replayed(answer: CachedAnswer, turn: CacheTurn) -> AsyncGenerator[pb.RunResponse, None]:
    """The events of a run that was, under an id that no run has, with what they cost now."""
    response = pb.RunResponse.FromString(answer.body)
    run_id = f"hit_{secrets.token_hex(12)}"
    for number, event in enumerate(response.events, 1):
        event.run_id, event.sequence = run_id, number
        event.create_time.GetCurrentTime()
        if event.HasField("usage"):
            event.usage.usage.cost_nanos = ceil(event.usage.usage.cost_nanos * turn.charge)
        if event.HasField("finished"):
            event.finished.ClearField("timings")
    yield response


def _alone(request: pb.RunRequest) -> tuple[str, str]:
    """The messages before a question that stands alone, all of which instruct, and its text; empty for any other."""
    if not request.messages:  # a prompt's alone
        return "", ""
    *told, last = request.messages
    plain = last.role == last.ROLE_USER and not (last.name or last.tool_calls) and len(last.content) <= LONGEST
    if not plain or any(each.role != each.ROLE_SYSTEM for each in told):
        return "", ""
    return pb.RunRequest(messages=told).SerializeToString(deterministic=True).hex(), last.content


def _is_plain(event: event_pb.RunEvent) -> bool:
    """Whether it may stand in an answer that is given again: a good one, without a tool's call."""
    kind = event.WhichOneof("event")
    if kind == "finished":
        return event.finished.reason == run_pb2.FINISH_REASON_STOP
    if kind == "passages":
        return not (event.passages.degraded or event.passages.not_reranked)
    if kind == "verdict":
        return event.verdict.passed
    return kind in _KINDS and not (kind == "text" and event.text.refusal)
