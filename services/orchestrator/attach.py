"""Reading a run's events wherever they are: in memory here, with the replica that has the run, or in the record."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

import grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

from services.orchestrator import convert
from services.orchestrator.adapters.peers import Peers, gone
from services.orchestrator.directory import RunDirectory
from services.orchestrator.domain.event import Event
from services.orchestrator.runs.access import Viewer
from services.orchestrator.runs.errors import RunMoved
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.run import Run

# How often the record is asked for the events of a run that no replica answers for.
POLL_SECONDS = 0.5


class Reader:
    """Follows runs from a sequence number to their end, across the death of the replicas that have them."""

    def __init__(self, executor: Executor, directory: RunDirectory, peers: Peers) -> None:
        self._executor = executor
        self._directory = directory
        self._peers = peers

    async def follow(self, viewer: Viewer, run_id: str, after: int) -> AsyncGenerator[pb.AttachResponse, None]:
        """Raises RunNotFound. Who sees the run once follows it to its end."""
        position = after
        while True:
            sources = self._source(viewer, run_id, position)
            viewer = replace(viewer, others=True)
            async with aclosing(sources) as responses:
                async for response in responses:
                    if response.events:
                        position = response.events[-1].sequence
                        yield response
                    else:
                        return

    async def _source(self, viewer: Viewer, run_id: str, after: int) -> AsyncGenerator[pb.AttachResponse, None]:
        """What the best source has. An empty response says that nothing will follow; without one, look again."""
        run = self._directory.live(viewer, run_id)
        if run is not None:
            async for response in self._live(run, after):
                yield response
            return
        info = await self._directory.get(viewer, run_id)
        owner = self._peers.owner(info)
        if owner is not None:
            async for response in self._passed_on(owner, run_id, after):
                after = response.events[-1].sequence if response.events else after
                yield response
                if not response.events:
                    return
        async for batch in self._stored(run_id, after):
            yield _response(run_id, batch)
        if info.finish_reason is not None:
            yield pb.AttachResponse()
        else:
            await asyncio.sleep(POLL_SECONDS)

    async def _live(self, run: Run, after: int) -> AsyncGenerator[pb.AttachResponse, None]:
        try:
            async for batch in run.follow(after, self._executor.history):
                yield _response(run.id, batch)
        except RunMoved:
            return
        yield pb.AttachResponse()

    async def _passed_on(self, owner: str, run_id: str, after: int) -> AsyncGenerator[pb.AttachResponse, None]:
        request = pb.AttachRequest(run_id=run_id, after_sequence=after)
        try:
            async with aclosing(self._peers.attach(owner, request)) as responses:
                async for response in responses:
                    yield response
        except grpc.aio.AioRpcError as error:
            if not gone(error):
                raise
        else:
            yield pb.AttachResponse()

    async def _stored(self, run_id: str, after: int) -> AsyncGenerator[Sequence[Event], None]:
        while batch := await self._directory.events(run_id, after):
            after = batch[-1].sequence
            yield batch


def _response(run_id: str, batch: Sequence[Event]) -> pb.AttachResponse:
    return pb.AttachResponse(events=[convert.event(run_id, event) for event in batch])
