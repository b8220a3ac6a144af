"""OrchestratorService: validate, convert, one domain call, convert back."""

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from services.orchestrator import convert, requests
from services.orchestrator.directory import Directory
from services.orchestrator.peers import Peers
from services.orchestrator.runs.errors import RunNotFound
from services.orchestrator.runs.events import ApprovalDecided, Finished
from services.orchestrator.runs.executor import Executor
from services.runtime.call import current, enter
from services.runtime.errors import InvalidArgument, Kind, UpstreamError
from services.runtime.interceptors.pipeline import Context

DEFAULT_MODEL = "rag"
DEFAULT_PAGE = 50
LARGEST_PAGE = 1000
DEADLINE_MARGIN = 0.02


class OrchestratorServicer(pb_grpc.OrchestratorServiceServicer):
    def __init__(self, executor: Executor, directory: Directory, peers: Peers, detached_seconds: float) -> None:
        self._executor = executor
        self._directory = directory
        self._peers = peers
        self._detached_seconds = detached_seconds

    async def Run(self, request: pb.RunRequest, context: Context) -> AsyncIterator[pb.RunResponse]:
        call = current()
        ask = requests.ask(request)
        # A little less than the caller waits, so that it still gets the `finished` event.
        seconds = self._detached_seconds if request.detached else max(call.remaining - DEADLINE_MARGIN, 0.001)
        if request.detached:
            # What it calls has until its own deadline, not until that of a caller who may be gone.
            enter(replace(call, deadline=time.monotonic() + seconds))
        run = await self._executor.start(call.tenant, request.model or DEFAULT_MODEL, ask, seconds)
        try:
            async for batch in run.follow():
                yield pb.RunResponse(events=[convert.event(run.id, event) for event in batch])
        finally:
            if not request.detached:
                await self._executor.cancel(run)
        if run.finished is not None:
            _raise_error(run.finished)

    async def Attach(self, request: pb.AttachRequest, context: Context) -> AsyncIterator[pb.AttachResponse]:
        if request.after_sequence < 0:
            raise InvalidArgument("after_sequence must not be negative", field="after_sequence")
        tenant = current().tenant
        batches = await self._directory.events(tenant, request.run_id, request.after_sequence)
        if batches is not None:
            async for batch in batches:
                yield pb.AttachResponse(events=[convert.event(request.run_id, event) for event in batch])
        else:
            owner = self._peers.owner(request.run_id)
            if owner is None:
                raise RunNotFound(request.run_id)
            async with aclosing(self._peers.attach(owner, request)) as responses:
                async for response in responses:
                    yield response

    async def Cancel(self, request: pb.CancelRequest, context: Context) -> pb.CancelResponse:
        run = self._executor.find(current().tenant, request.run_id)
        if run is not None:
            await self._executor.cancel(run)
            return pb.CancelResponse(run=convert.run(run.info))
        info = await self._directory.get(current().tenant, request.run_id)
        owner = self._peers.owner(request.run_id)
        if owner is not None and (info is None or info.finish_reason is None):
            return await self._peers.cancel(owner, request)
        if info is None:
            raise RunNotFound(request.run_id)
        return pb.CancelResponse(run=convert.run(info))

    async def Decide(self, request: pb.DecideRequest, context: Context) -> pb.DecideResponse:
        call = current()
        run = self._executor.find(call.tenant, request.run_id)
        if run is None:
            raise RunNotFound(request.run_id)
        subject = call.identity.subject if call.identity else ""
        decision = ApprovalDecided(request.approval_id, request.approved, subject, request.comment, request.replacement)
        run.decide(decision)
        return pb.DecideResponse(decision=convert.decision(decision))

    async def GetRun(self, request: pb.GetRunRequest, context: Context) -> pb.GetRunResponse:
        info = await self._directory.get(current().tenant, request.run_id)
        owner = self._peers.owner(request.run_id)
        if owner is not None and (info is None or info.finish_reason is None):
            return await self._peers.get_run(owner, request)
        if info is None:
            raise RunNotFound(request.run_id)
        return pb.GetRunResponse(run=convert.run(info))

    async def ListRuns(self, request: pb.ListRunsRequest, context: Context) -> pb.ListRunsResponse:
        size = request.page_size or DEFAULT_PAGE
        if not 1 <= size <= LARGEST_PAGE:
            raise InvalidArgument(f"page_size must be from 1 to {LARGEST_PAGE}, or 0", field="page_size")
        runs, more = await self._directory.newest(current().tenant, size, convert.page_start(request.page_token))
        token = convert.page_token(runs[-1]) if more else ""
        return pb.ListRunsResponse(runs=[convert.run(info) for info in runs], next_page_token=token)

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        listed = await self._executor.agents.models(current().tenant)
        return pb.ListModelsResponse(models=[convert.model(each) for each in listed])


def _raise_error(finished: Finished) -> None:
    """End the stream with the run's own error, if it ended by one."""
    if finished.error_code:
        error = UpstreamError(
            Kind(finished.error_code), finished.error_reason, finished.error_message, **finished.error_details
        )
        raise error.retry_in(finished.retry_after)
