"""Runs of agents and models: admitted, started at the orchestrator, and settled however they end."""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

import grpc
import orjson
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import run_event_pb2 as event_pb
from headworks.orchestrator.v1 import run_pb2

from gateway.access.authorize import require
from gateway.calls.agents import Agents, ResolvedModel
from gateway.calls.background import BackgroundTasks
from gateway.calls.call import BUDGET, CONTENT_FILTER, CallState, ModelCall
from gateway.calls.errors import AgentChanged
from gateway.calls.pipeline import CallPipeline, answered, screen_input, screen_of
from gateway.calls.prompt_use import PromptUse
from gateway.calls.prompts import Prompts
from gateway.calls.request import ModelRequest
from gateway.calls.run_answer import Events, HeldEvents, RunAnswer, ended
from gateway.calls.run_cached import CachedRuns, RunRecorder, replayed
from gateway.calls.run_request import RunTexts, Seams
from gateway.guard.pipeline import GuardPipeline
from gateway.guard.vault import Vault
from services.runtime import clients, statuses
from services.runtime.call import CLOSED, READS_KEY, SCREENED, UNSCREENED, Call, outgoing
from services.runtime.errors import ErrorKind, InvalidArgument, UpstreamError
from services.runtime.identity import Identity

log = logging.getLogger(__name__)

CANCEL_SECONDS = 5.0
MOVED = "RUN_MOVED"
"""The reason of an orchestrator that was given up while it had a run under way."""
Batch = pb.RunResponse | pb.AttachResponse


class CallTokens(Protocol):
    """What calls of the services behind are made under."""

    def identity_token(self, identity: Identity) -> str: ...

    def refresh_token(self, identity: Identity) -> str: ...


class RunCalls:
    """Starts runs for callers. `tokens`: what runs and calls that follow them get to go on under. `follow_seconds`: how
    long a run is followed whose caller has left it going. `cached`: how answers are kept."""

    def __init__(
        self,
        orchestrator: grpc.aio.Channel,
        pipeline: CallPipeline,
        agents: Agents,
        background: BackgroundTasks,
        tokens: CallTokens,
        follow_seconds: float,
        cached: CachedRuns,
        prompts: Prompts,
    ) -> None:
        self._cached = cached
        self._prompts = prompts
        self._stub = pb_grpc.OrchestratorServiceStub(orchestrator)
        self._pipeline = pipeline
        self._agents = agents
        self._background = background
        self._tokens = tokens
        self._follow_seconds = follow_seconds

    async def run(self, request: pb.RunRequest, call: Call, seams: Seams = ()) -> AsyncGenerator[Events, None]:
        """The run's events as they may go out; the last is `finished`, and by then the run is settled. `seams`: see
        `RunTexts`.

        Raises what admission raises; PermissionDenied; AgentChanged; grpc.aio.AioRpcError; BudgetExceeded, after
        `finished`, where the budget ended in mid-stream. Close it to leave the run.
        """
        model = await self._agents.resolve(call, request.model)
        require(call, f"models.call:{model.name}")
        if request.model:
            request.model = model.asked
        guards = self._pipeline.guards(call, model.name, *model.models)
        instructions = await self._instructions(call, model.asked, guards)
        prompt = await self._prompt(request, call) if request.HasField("prompt") else None
        texts = RunTexts(request, seams, prompt)
        compared = self._cached.asked(call, request, model)
        asked = texts.asked(model.name, instructions, model.models, compared)
        admitted = await self._pipeline.admit(call, asked, model.price, guards)
        answer, recorder = RunAnswer(admitted), RunRecorder(admitted)
        try:
            texts.put(admitted.texts)
            hit = admitted.turn.answer
            responses = replayed(hit, admitted.turn) if hit else self._responses(request, call, guards, answer)
            async with aclosing(answered(admitted, responses, answer)) as batches:
                async for events in batches:
                    if admitted.agent_version not in (0, model.version):
                        model = await self._same(call, model, admitted)
                        admitted.turn.decline()  # it was compared as another version's
                    recorder.add(events)
                    yield events
            await self._cached.offer(recorder, request, model)
            if answer.stopped == BUDGET:
                raise admitted.exceeded
        finally:
            admitted.turn.close(left=isinstance(sys.exc_info()[1], asyncio.CancelledError | GeneratorExit))
            if answer.stopped and admitted.turn.answer is None:
                self._background.add(self._cancel(admitted.run_id, call))
            if admitted.state is CallState.STREAMING and admitted.turn.answer is None and not self._background.full:
                call.audited = True  # when it is settled
                self._background.add(self._follow(admitted, answer))
            else:
                admitted.close("cancelled")

    async def _prompt(self, request: pb.RunRequest, call: Call) -> PromptUse:
        """The prompt that the caller names, from now on by its version."""
        used = await self._prompts.use(call, request.prompt.name, _values(request.prompt.variables))
        request.prompt.name = used.label
        return used

    async def _responses(
        self, request: pb.RunRequest, call: Call, guards: GuardPipeline, answer: RunAnswer
    ) -> AsyncGenerator[Batch, None]:
        """What the run says, wherever it is: where its replica was given up by the others, from one of these on."""
        carried = outgoing(call.remaining, self._lasting(call))
        carried["metadata"] += ((READS_KEY, _reads(guards)),)
        try:
            async with aclosing(clients.stream(self._stub.Run(request, **carried))) as responses:
                async for response in responses:
                    yield response
            return
        except grpc.aio.AioRpcError as error:
            info = statuses.error_info(error)
            if info is None or info.reason != MOVED or not info.metadata["run_id"]:
                raise
            run_id = info.metadata["run_id"]
        log.info("a run is followed where it is now", extra={"run_id": run_id, "after": answer.last_event})
        again = pb.AttachRequest(run_id=run_id, after_sequence=answer.last_event)
        attached = self._stub.Attach(again, **outgoing(call.remaining, self._lasting(call)))
        async with aclosing(clients.stream(attached)) as more:
            async for further in more:
                yield further
                if further.events and further.events[-1].finished.error_code:
                    raise _error_of(further.events[-1].finished)

    async def attach(self, request: pb.AttachRequest, call: Call) -> AsyncGenerator[Events, None]:
        """The events of a run as they may go out. Where guards look at answers, all of them are read anew: what may go
        out depends on what was before. Raises grpc.aio.AioRpcError, GuardPolicyBroken."""
        run, agent, guards = await self._under_way(call, request.run_id)
        screen = screen_of(guards, Vault(), await self._instructions(call, agent, guards))
        held = HeldEvents(screen) if screen is not None else None
        after, last = request.after_sequence, 0
        request = pb.AttachRequest(run_id=run.id, after_sequence=after if held is None else 0)
        attached = self._stub.Attach(request, **outgoing(call.remaining, self._lasting(call)))
        async with aclosing(clients.stream(attached)) as responses:
            async for response in responses:
                events = list(response.events) if held is None else held.take_events(response.events)
                last = events[-1].sequence if events else last
                found = held.blocked if held is not None else None
                if found is not None:
                    events += ended(run.id, last, run.usage, CONTENT_FILTER, found)
                if fresh := [event for event in events if event.sequence > after]:
                    yield fresh
                if found is not None:
                    return

    async def decide(self, request: pb.DecideRequest, call: Call) -> pb.DecideResponse:
        """Decide an approval with what its model may read of the words. Raises ContentFiltered, GuardPolicyBroken,
        grpc.aio.AioRpcError."""
        if request.comment or request.replacement:
            _, _, guards = await self._under_way(call, request.run_id)
            screened = await screen_input(call, guards, ModelRequest("", [request.comment, request.replacement]))
            request.comment, request.replacement = screened.texts
        return await clients.unary(self._stub.Decide(request, **outgoing(call.remaining, call)))

    def shown(self, call: Call, texts: Sequence[str]) -> list[str]:
        """What texts of before may say now, by the tenant's own policy; nothing of one that is blocked."""
        screen = screen_of(self._pipeline.guards(call), Vault(), "")
        if screen is None:
            return list(texts)
        released = [screen().whole(text) for text in texts]
        return ["" if each.blocked is not None else each.text for each in released]

    async def _same(self, call: Call, model: ResolvedModel, admitted: ModelCall) -> ResolvedModel:
        """The version that runs, which another gateway has stored a moment ago. Raises AgentChanged where it asks other
        models than the call was admitted for; the run ends."""
        self._agents.changed(call.tenant)
        runs = await self._agents.resolve(call, f"{model.name}@{admitted.agent_version}")
        if runs.models == model.models:
            return runs
        self._background.add(self._cancel(admitted.run_id, call))
        raise AgentChanged(model.name)

    async def _under_way(self, call: Call, run_id: str) -> tuple[run_pb2.Run, str, GuardPipeline]:
        """A run, its agent as it is asked, and the guards of that or of the models that it asks."""
        asked = self._stub.GetRun(pb.GetRunRequest(run_id=run_id), **outgoing(call.remaining, call))
        run = (await clients.unary(asked)).run
        agent = f"{run.model}@{run.agent_version}" if run.agent_version else run.model
        model = await self._agents.resolve(call, agent)
        return run, agent, self._pipeline.guards(call, model.name, *model.models)

    async def _instructions(self, call: Call, model: str, guards: GuardPipeline) -> str:
        """What an answer must not give away of the agent's own instructions."""
        return await self._agents.instructions(call, model) if guards.guards_instructions else ""

    def _lasting(self, call: Call) -> Call:
        """The call, able to go on when its identity token has ended."""
        return replace(call, refresh_token=self._tokens.refresh_token(call.identity)) if call.identity else call

    def _anew(self, call: Call) -> Call:
        """The call under a fresh token, without its deadline."""
        token = self._tokens.identity_token(call.identity) if call.identity else call.token
        return self._lasting(replace(call, token=token, deadline=float("inf")))

    async def _cancel(self, run_id: str, call: Call) -> None:
        """End a run, which may have ended by itself."""
        later = self._anew(call)
        await clients.unary(self._stub.Cancel(pb.CancelRequest(run_id=run_id), **outgoing(CANCEL_SECONDS, later)))

    async def _follow(self, admitted: ModelCall, answer: RunAnswer) -> None:
        """Settle a run whose caller is gone once it is over: one that was left is cancelled at once, but a detached
        one, and one that waits for a person, go on."""
        try:
            await self._read_to_end(admitted, answer)
        except grpc.aio.AioRpcError as error:
            log.warning("a run was settled before its end was known", extra={"code": error.code().name})
        finally:
            await admitted.settle()

    async def _read_to_end(self, admitted: ModelCall, answer: RunAnswer) -> None:
        """Count the run's events to its end, in as many calls as that takes. Raises grpc.aio.AioRpcError."""
        end = time.monotonic() + self._follow_seconds
        while not admitted.finished:
            try:
                await self._read_on(admitted, answer, end - time.monotonic())
                return
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED or time.monotonic() >= end:
                    raise

    async def _read_on(self, admitted: ModelCall, answer: RunAnswer, seconds: float) -> None:
        request = pb.AttachRequest(run_id=admitted.run_id, after_sequence=answer.last_event)
        attached = self._stub.Attach(request, **outgoing(seconds, self._anew(admitted.incoming)))
        async with aclosing(clients.stream(attached)) as responses:
            async for response in responses:
                answer.count(response.events)
                if not (admitted.finished or admitted.covered() or await admitted.extend()):
                    await self._cancel(admitted.run_id, admitted.incoming)


def _values(given: Mapping[str, str]) -> dict[str, object]:
    """The values of variables, from JSON. Raises InvalidArgument."""
    try:
        return {name: orjson.loads(value) for name, value in given.items()}
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"the value of a variable is not JSON: {error}", field="prompt.variables") from error


def _reads(guards: GuardPipeline) -> str:
    """What the orchestrator is told of what the run reads: it need not ask where nothing looks at that."""
    if not guards.screens_context:
        return UNSCREENED
    return CLOSED if guards.closes_context else SCREENED


def _error_of(finished: event_pb.RunFinished) -> UpstreamError:
    """The error by which a run has ended, as `Run` raises it."""
    kind, details = ErrorKind(finished.error_code), dict(finished.error_details)
    error = UpstreamError(kind, finished.error_reason, finished.error_message, **details)
    has_delay = finished.HasField("retry_after")
    return error.retry_in(finished.retry_after.ToNanoseconds() / 1e9 if has_delay else None)
