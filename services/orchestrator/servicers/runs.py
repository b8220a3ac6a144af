"""OrchestratorService: validate, convert, one domain call, convert back."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from services.orchestrator import convert, requests
from services.orchestrator.adapters.peers import Peers, gone
from services.orchestrator.attach import Reader
from services.orchestrator.directory import RunDirectory
from services.orchestrator.domain.event import ApprovalDecided, Finished
from services.orchestrator.runs.access import Verb, Viewer
from services.orchestrator.runs.errors import AlreadyDecided, ApprovalNotFound, OwnerGone
from services.orchestrator.runs.execution import DETACHED_LIMIT, RunTerms
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.run import RunInfo
from services.orchestrator.scopes import Identities, subject_of, viewer_of
from services.runtime.call import current
from services.runtime.errors import ErrorKind, InvalidArgument, UpstreamError
from services.runtime.identity import REFRESH_KEY, refresh_expiry
from services.runtime.interceptors.pipeline import Context

DEFAULT_MODEL = "rag"
# How long before its caller's deadline a run ends, so that the caller still gets the `finished` event: a share of the
# time that there is. A busy machine needs more than some milliseconds for it.
MARGIN_SHARE, MOST_MARGIN = 0.1, 0.5


class OrchestratorServicer(pb_grpc.OrchestratorServiceServicer):
    def __init__(
        self, executor: Executor, directory: RunDirectory, peers: Peers, identities: Identities, detached_seconds: float
    ) -> None:
        self._executor = executor
        self._directory = directory
        self._peers = peers
        self._identities = identities
        self._reader = Reader(executor, directory, peers)
        self._detached_seconds = detached_seconds

    async def Run(self, request: pb.RunRequest, context: Context) -> AsyncIterator[pb.RunResponse]:
        call = current()
        ask = requests.ask(request)
        # What a detached run calls has until its own deadline, not until that of a caller who may be gone.
        seconds = self._detached_seconds if request.detached else _within(call.remaining)
        refresh_token = call.metadata.get(REFRESH_KEY, "")
        ends, identity = refresh_expiry(refresh_token), self._identities.of(call)
        viewer = viewer_of(call, "sessions", Verb.WRITE)
        limit = DETACHED_LIMIT if request.detached else call.limit
        terms = RunTerms(
            seconds, identity, refresh_token, ends, request.detached, viewer.subject, limit, others=viewer.others
        )
        run = await self._executor.start(call.tenant, request.model or DEFAULT_MODEL, ask, terms)
        try:
            async for batch in run.follow(0, self._executor.history):
                yield pb.RunResponse(events=[convert.event(run.id, event) for event in batch])
        finally:
            self._executor.left(run, self._detached_seconds)
        if run.finished is not None:
            _raise_error(run.finished)

    async def Attach(self, request: pb.AttachRequest, context: Context) -> AsyncIterator[pb.AttachResponse]:
        if request.after_sequence < 0:
            raise InvalidArgument("after_sequence must not be negative", field="after_sequence")
        call = current()
        self._identities.of(call).enter(call.deadline)
        viewer = viewer_of(call, "runs", Verb.READ, request.run_id)
        following = self._reader.follow(viewer, request.run_id, request.after_sequence)
        async with aclosing(following) as responses:
            async for response in responses:
                yield response

    async def Cancel(self, request: pb.CancelRequest, context: Context) -> pb.CancelResponse:
        return await self.cancel(request, viewer_of(current(), "runs", Verb.WRITE))

    async def cancel(self, request: pb.CancelRequest, viewer: Viewer) -> pb.CancelResponse:
        """End a run that the viewer sees, on whichever replica it is."""
        run = self._directory.live(viewer, request.run_id)
        if run is not None:
            await self._executor.cancel(run)
            return pb.CancelResponse(run=convert.run(run.info))
        info = await self._directory.get(viewer, request.run_id)
        if info.finish_reason is not None:
            return pb.CancelResponse(run=convert.run(info))
        try:
            return await self._peers.cancel(self._owner(info), request)
        except grpc.aio.AioRpcError as error:
            raise (OwnerGone(info.id) if gone(error) else error) from error

    async def Decide(self, request: pb.DecideRequest, context: Context) -> pb.DecideResponse:
        call = current()
        decision = requests.decision(request, subject_of(call))
        info = await self._directory.get(Viewer(call.tenant, others=True), request.run_id)
        try:
            run = self._executor.find(call.tenant, request.run_id)
            if run is not None:
                return pb.DecideResponse(decision=convert.decision(await self._executor.decide(run, decision)))
            if info.finish_reason is not None:
                raise await self._decided(info, decision)
            return await self._peers.decide(self._owner(info), request)
        except ApprovalNotFound as error:
            await self._directory.get(viewer_of(call, "runs", Verb.READ, request.run_id), request.run_id)
            raise
        except grpc.aio.AioRpcError as error:
            raise (OwnerGone(info.id) if gone(error) else error) from error

    async def _decided(self, info: RunInfo, decision: ApprovalDecided) -> AlreadyDecided | ApprovalNotFound:
        """Why an approval of a run that is over cannot be decided."""
        after = 0
        while batch := await self._directory.events(info.id, after):
            after = batch[-1].sequence
            for event in batch:
                body = event.body
                if isinstance(body, ApprovalDecided) and body.approval_id == decision.approval_id:
                    return AlreadyDecided(body.approval_id, body.approved, body.decided_by)
        return ApprovalNotFound(info.id, decision.approval_id)

    def _owner(self, info: RunInfo) -> str:
        """The other replica that has the run. Raises OwnerGone where it is to be this one, which has not got it yet."""
        owner = self._peers.owner(info)
        if owner is None:
            raise OwnerGone(info.id)
        return owner

    async def GetRun(self, request: pb.GetRunRequest, context: Context) -> pb.GetRunResponse:
        info = await self._directory.get(viewer_of(current(), "runs", Verb.READ, request.run_id), request.run_id)
        owner = self._peers.owner(info)
        if owner is not None and self._executor.find(info.tenant, info.id) is None:
            try:
                return await self._peers.get_run(owner, request)
            except grpc.aio.AioRpcError as error:
                if not gone(error):
                    raise
        return pb.GetRunResponse(run=convert.run(info))

    async def ListRuns(self, request: pb.ListRunsRequest, context: Context) -> pb.ListRunsResponse:
        size = requests.page_size(request.page_size)
        start = convert.page_start(request.page_token)
        viewer = viewer_of(current(), "runs", Verb.READ)
        runs, more = await self._directory.newest(viewer, size, start, requests.run_filter(request))
        token = convert.page_token(runs[-1]) if more else ""
        return pb.ListRunsResponse(runs=[convert.run(info) for info in runs], next_page_token=token)

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        agents = self._executor.agents
        listed = await agents.models(current().tenant)
        return pb.ListModelsResponse(
            models=[convert.model(each) for each in listed], default_model=agents.default_model
        )


def _raise_error(finished: Finished) -> None:
    """End the stream with the run's own error, if it ended by one."""
    if finished.error_code:
        error = UpstreamError(
            ErrorKind(finished.error_code), finished.error_reason, finished.error_message, **finished.error_details
        )
        raise error.retry_in(finished.retry_after)


def _within(remaining: float) -> float:
    """How long a run may take whose caller waits for so many seconds."""
    return max(remaining - min(MARGIN_SHARE * remaining, MOST_MARGIN), 0.001)
