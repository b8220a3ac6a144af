"""Runs under policy: admitted, screened and counted as they go, settled however they end."""

import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

import grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import run_event_pb2 as event_pb
from headworks.orchestrator.v1 import run_pb2

from gateway.calls import ask as asks
from gateway.calls.admission import Admission
from gateway.calls.agents import Agents
from gateway.calls.ends import blocked, out_of_budget, stopped_by_guard
from gateway.calls.followers import Followers
from gateway.calls.policy import Policy
from services.runtime import clients
from services.runtime.call import READS_KEY, UNSCREENED, Call, outgoing
from services.runtime.identity import Identity

log = logging.getLogger(__name__)

Events = Sequence[event_pb.RunEvent]
CANCEL_SECONDS = 5.0


def after(sequence: int, events: Sequence[event_pb.RunEvent]) -> Events:
    return [event for event in events if event.sequence > sequence]


class CallTokens(Protocol):
    """What calls of the services behind are made under."""

    def identity_token(self, identity: Identity) -> str: ...

    def refresh_token(self, identity: Identity) -> str: ...


class RunGate:
    """Starts runs for callers. `tokens`: what runs and calls that follow them get to go on under. `follow_seconds`: how
    long a run is followed whose caller has left it going."""

    def __init__(
        self,
        orchestrator: grpc.aio.Channel,
        policy: Policy,
        agents: Agents,
        followers: Followers,
        tokens: CallTokens,
        follow_seconds: float,
    ) -> None:
        self._stub = pb_grpc.OrchestratorServiceStub(orchestrator)
        self._policy = policy
        self._agents = agents
        self._followers = followers
        self._tokens = tokens
        self._follow_seconds = follow_seconds

    async def run(self, request: pb.RunRequest, call: Call, stream: bool = True) -> AsyncGenerator[Events, None]:
        """The run's events as they may be told; the last is `finished`, and by then the run is settled.

        Raises what admission raises; grpc.aio.AioRpcError; BudgetExceeded, after `finished`, where the budget ended in
        mid-stream. Close it to leave the run.
        """
        asked = asks.of_run(request, stream)
        if self._policy.guards_instructions(call, asked.model):
            asked = asked.told(await self._agents.instructions(call, asked.model))
        admission = await self._policy.admit(call, asked, await self._agents.price(call, asked.model))
        asks.put(request, admission.texts)
        carried = outgoing(call.remaining, self._lasting(call))
        if not self._policy.screens_context(call, asked.model):
            carried["metadata"] += ((READS_KEY, UNSCREENED),)
        try:
            async with aclosing(clients.stream(self._stub.Run(request, **carried))) as responses:
                async for response in responses:
                    events = admission.take(response.events)
                    if admission.blocked is not None:
                        yield await self._stop(admission, call, events, run_pb2.FINISH_REASON_CONTENT_FILTER)
                        return
                    if not admission.finished and not await admission.affords():
                        yield await self._stop(admission, call, events, run_pb2.FINISH_REASON_BUDGET)
                        raise admission.exceeded
                    if admission.finished:
                        await admission.settle()
                    if events:
                        yield events
        finally:
            if not admission.settled and admission.run_id:
                call.audited = True  # when it is settled
                self._followers.add(self._follow(admission, call))
            elif not admission.run_id:
                admission.abandon()

    async def attach(self, request: pb.AttachRequest, call: Call) -> AsyncGenerator[Events, None]:
        """The events of a run as they may be told. Where guards look at answers, all of them are read anew: what may be
        said depends on what was said before. Raises grpc.aio.AioRpcError, GuardPolicyBroken."""
        asked = self._stub.GetRun(pb.GetRunRequest(run_id=request.run_id), **outgoing(call.remaining, call))
        run = (await clients.unary(asked)).run
        instructions = ""
        if self._policy.guards_instructions(call, run.model):
            instructions = await self._agents.instructions(call, run.model)
        screen = self._policy.screen(call, run.model, instructions)
        told, last = request.after_sequence, 0
        request = pb.AttachRequest(run_id=run.id, after_sequence=told if screen is None else 0)
        attached = self._stub.Attach(request, **outgoing(call.remaining, self._lasting(call)))
        async with aclosing(clients.stream(attached)) as responses:
            async for response in responses:
                events = list(response.events) if screen is None else screen.take(response.events)
                last = events[-1].sequence if events else last
                found = screen.blocked if screen is not None else None
                if found is not None:
                    events += blocked(found, run.id, last, run.usage)
                if fresh := after(told, events):
                    yield fresh
                if found is not None:
                    return

    def shown(self, call: Call, text: str) -> str:
        """What an answer of before may say now, by the tenant's own policy."""
        return self._policy.shown(call, text)

    async def _stop(
        self, admission: Admission, call: Call, events: list[event_pb.RunEvent], reason: run_pb2.FinishReason.ValueType
    ) -> Events:
        """End the run for a reason of the gateway's own: what was still released, and the events that say so."""
        end = stopped_by_guard if reason == run_pb2.FINISH_REASON_CONTENT_FILTER else out_of_budget
        last = end(admission)
        admission.take_end(last)
        await admission.settle()
        self._followers.add(self._cancel(admission.run_id, call))
        return [*events, *last]

    def _lasting(self, call: Call) -> Call:
        """The call, able to go on when its identity token has ended."""
        return replace(call, refresh_token=self._tokens.refresh_token(call.identity)) if call.identity else call

    def _anew(self, call: Call) -> Call:
        """The call under a fresh token, without its deadline."""
        token = self._tokens.identity_token(call.identity) if call.identity else call.token
        return self._lasting(replace(call, token=token, deadline=float("inf")))

    async def _cancel(self, run_id: str, call: Call) -> None:
        """End a run, which may have ended by itself."""
        if run_id:
            later = self._anew(call)
            await clients.unary(self._stub.Cancel(pb.CancelRequest(run_id=run_id), **outgoing(CANCEL_SECONDS, later)))

    async def _follow(self, admission: Admission, call: Call) -> None:
        """Settle a run whose caller is gone once it is over: one that was left is cancelled at once, but a detached
        one, and one that waits for a person, go on."""
        try:
            await self._attach(admission, call)
        except grpc.aio.AioRpcError as error:
            log.warning("a run was settled before its end was known", extra={"code": error.code().name})
        finally:
            await admission.settle()

    async def _attach(self, admission: Admission, call: Call) -> None:
        """Read the run's events to its end, in as many calls as that takes. Raises grpc.aio.AioRpcError."""
        end = time.monotonic() + self._follow_seconds
        while not admission.finished:
            try:
                await self._read_on(admission, call, end - time.monotonic())
                return
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED or time.monotonic() >= end:
                    raise

    async def _read_on(self, admission: Admission, call: Call, seconds: float) -> None:
        request = pb.AttachRequest(run_id=admission.run_id, after_sequence=admission.heard)
        attached = self._stub.Attach(request, **outgoing(seconds, self._anew(call)))
        async with aclosing(clients.stream(attached)) as responses:
            async for response in responses:
                admission.count(response.events)
                if not admission.finished and not await admission.affords():
                    await self._cancel(admission.run_id, call)
