"""The aggregated discovery service on the wire: carries messages between a client and its state machine."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from typing import TypeAlias

import grpc
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from services.control import convert, metrics
from services.control.ads import Request, Response, Stream, Verdict
from services.control.snapshot import Cache
from services.runtime.interceptors.pipeline import Context

log = logging.getLogger(__name__)

PB: TypeAlias = discovery_pb2.DiscoveryRequest


class AdsServicer(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):  # type: ignore[misc]  # untyped
    """State of the world only; the delta variant is answered UNIMPLEMENTED."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def StreamAggregatedResources(self, requests: AsyncIterator[PB], context: Context) -> None:
        """Serves one client until it leaves. Only its first request needs to say which client it is."""
        first = await anext(aiter(requests), None)
        if first is None:
            return
        kind = convert.client_kind(first)
        client = AdsClient(self._cache, kind, first.node.id, context)
        with metrics.CLIENTS.labels(kind).track_inprogress():
            await client.serve(first, requests)


class AdsClient:
    """One client's stream: a task reads its requests, another watches for snapshots; one lock keeps their order."""

    def __init__(self, cache: Cache, kind: str, node: str, context: Context) -> None:
        self._cache, self._kind, self._context = cache, kind, context
        self._said = {"client": kind, "node": node}
        self._stream = Stream(cache.snapshot(kind))
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()

    async def serve(self, first: PB, requests: AsyncIterator[PB]) -> None:
        log.info("xds client came", extra=self._said)
        self._cache.listen(self._changed)
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch())
                await self._on_request(first)
                async for request in requests:
                    await self._on_request(request)
                watch.cancel()
        except* ValueError as errors:
            await self._context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(errors.exceptions[0]))
        finally:
            self._cache.forget(self._changed)
            log.info("xds client left", extra=self._said)

    async def _on_request(self, request: PB) -> None:
        understood = convert.request_from_pb(request)
        async with self._writing:
            verdict, response = self._stream.on_request(understood)
            self._note(verdict, understood)
            await self._send([response] if response else [])

    async def _watch(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            async with self._writing:
                await self._send(self._stream.on_snapshot(self._cache.snapshot(self._kind)))

    async def _send(self, responses: Iterable[Response]) -> None:
        for response in responses:
            await self._context.write(convert.response_to_pb(response))
            metrics.PUSHES.labels(_short(response.type)).inc()

    def _note(self, verdict: Verdict, request: Request) -> None:
        if verdict == "nack":
            metrics.NACKS.labels(_short(request.type)).inc()
            log.warning("xds response refused", extra={**self._said, "type": request.type, "reason": request.error})
        elif verdict == "ack":
            metrics.ACKS.labels(_short(request.type)).inc()


def _short(type_url: str) -> str:
    return type_url.rpartition(".")[2]
