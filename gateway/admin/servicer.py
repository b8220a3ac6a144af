"""AdminService: the methods of each noun, and what surrounds those that change something."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, cast

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from headworks.gateway.v1 import admin_service_pb2 as pb
from headworks.gateway.v1 import admin_service_pb2_grpc as pb_grpc

from gateway.admin.recording import Recorder
from services.runtime.errors import InvalidArgument
from services.runtime.interceptors.pipeline import Context
from services.runtime.records.errors import RecordsUnavailable

LOG = logging.getLogger(__name__)
SERVICE = pb.DESCRIPTOR.services_by_name["AdminService"]
Follow = Callable[[], Awaitable[None]]


class AdminServicer:
    """Each method is that of one of the `nouns`. A change is recorded, and this replica follows it before it answers:
    what `follow`, Changes.look, is for. Raises LookupError for a method that no noun has, or two have."""

    def __init__(self, nouns: Iterable[object], recorder: Recorder, follow: Follow) -> None:
        nouns = list(nouns)
        for method in SERVICE.methods:
            having = [noun for noun in nouns if hasattr(noun, method.name)]
            if len(having) != 1:
                raise LookupError(f"{method.name} is served by {[type(noun).__name__ for noun in having]}")
            serve = getattr(having[0], method.name)
            if method.server_streaming:
                setattr(self, method.name, _streaming(serve, recorder))
            else:
                setattr(self, method.name, _changing(serve, recorder, follow) if changes(method) else _reading(serve))

    def add(self, server: grpc.aio.Server) -> None:
        """Serve the methods on `server`."""
        pb_grpc.add_AdminServiceServicer_to_server(cast(Any, self), server)


def changes(method: MethodDescriptor) -> bool:
    """Whether the method changes something."""
    return method.GetOptions().idempotency_level != MethodOptions.NO_SIDE_EFFECTS


def _reading(serve: Any) -> Any:
    async def reading(request: Any, context: Context) -> Any:
        return await serve(storable(request), context)

    return reading


def _changing(serve: Any, recorder: Recorder, follow: Follow) -> Any:
    async def changing(request: Any, context: Context) -> Any:
        recorder.begin(storable(request), context)
        response = await serve(request, context)
        await recorder.end()
        try:
            await follow()
        except RecordsUnavailable:
            LOG.warning("a change is made, and this replica has yet to follow it")
        return response

    return changing


def _streaming(serve: Any, recorder: Recorder) -> Any:
    async def streaming(request: Any, context: Context) -> AsyncIterator[Any]:
        recorder.begin(storable(request), context)
        async with aclosing(serve(request, context)) as messages:
            async for message in messages:
                yield message

    return streaming


def storable(request: Message) -> Message:
    """The request, if every database could store its texts. Raises InvalidArgument."""
    for field, value in request.ListFields():
        texts = [value] if isinstance(value, str) else value if field.is_repeated else ()
        if any(isinstance(text, str) and "\x00" in text for text in texts):
            raise InvalidArgument(f"{field.name} has a character of code 0", field=field.name)
    return request
