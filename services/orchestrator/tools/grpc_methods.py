"""Methods of gRPC services as tools: unary ones, and streams of responses up to a cap."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
import orjson
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from services.orchestrator.domain.tool import Declaration, Reason, ToolContext, ToolFailed
from services.orchestrator.tools.message_schema import of_message
from services.orchestrator.tools.naming import grpc_name
from services.orchestrator.tools.reflection import Metadata, NotReflected, Services
from services.runtime import clients, proxies
from services.runtime.call import Outgoing, current, outgoing, renewed
from services.runtime.channels import open_channel
from services.runtime.contract import may_retry, path
from services.runtime.errors import DeadlineExceeded
from services.runtime.needs import BY_SERVICE
from services.runtime.permissions import allows
from services.runtime.tls import TlsFiles

MAX_CACHED = 64
OWN = "headworks."
"""What the packages of the mesh's own services begin with."""
REFLECTION_SECONDS = 5.0
MAX_DETAILS = 1000
LARGE = 256 << 10
BUSY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
REASONS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.TIMEOUT,
    grpc.StatusCode.UNAVAILABLE: Reason.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Reason.UNAVAILABLE,
    grpc.StatusCode.PERMISSION_DENIED: Reason.NOT_ALLOWED,
    grpc.StatusCode.UNAUTHENTICATED: Reason.NOT_ALLOWED,
    grpc.StatusCode.INVALID_ARGUMENT: Reason.INVALID_ARGUMENTS,
}
Multi: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[Any, Any] | grpc.aio.UnaryStreamMultiCallable[Any, Any]"


@dataclass(frozen=True, slots=True)
class GrpcTarget:
    """Where methods are called. `mesh`: a service of this mesh, which gets the caller's identity, ids and deadline;
    others get `metadata`."""

    target: str
    mesh: bool = False
    tls: bool = False
    metadata: Metadata = ()


@dataclass(frozen=True, slots=True)
class GrpcMethod:
    """A method as an agent's spec names it: package.Service/Method. `seconds` for one call; `max_messages` and
    `max_bytes` of a stream of responses."""

    method: str
    name: str = ""
    description: str = ""
    seconds: float = 30.0
    max_messages: int = 100
    max_bytes: int = 1 << 20


class GrpcServer:
    """One target: its channel, opened at the first use, and what is known of its methods. A service of this mesh is
    shown `tls`."""

    def __init__(self, target: GrpcTarget, tls: TlsFiles | None = None) -> None:
        self._target = target
        self._tls = tls
        self._channel: grpc.aio.Channel | None = None
        self._methods: OrderedDict[str, MethodDescriptor] = OrderedDict()

    async def tool(self, spec: GrpcMethod) -> "GrpcMethodTool":
        """Raises NotReflected: a method that is not there or streams its requests, or a server that cannot be asked."""
        descriptor = await self._method(spec.method)
        if descriptor.client_streaming:
            raise NotReflected(f"{spec.method} streams its requests, which a tool cannot do")
        return GrpcMethodTool(self, descriptor, spec)

    @property
    def mesh(self) -> bool:
        """It is a service of this mesh."""
        return self._target.mesh

    async def ready(self) -> None:
        """A service of this mesh is called under a token that is good. Raises DomainError where none is to be had."""
        if self._target.mesh:
            await renewed()

    def call(self, descriptor: MethodDescriptor, request: Message, seconds: float) -> Any:
        """Begin a call. Raises DeadlineExceeded."""
        channel = self._open()
        multi: Any = channel.unary_stream if descriptor.server_streaming else channel.unary_unary
        answers = GetMessageClass(descriptor.output_type).FromString
        callable_ = multi(path(descriptor), request_serializer=_serialized, response_deserializer=answers)
        return callable_(request, **self._options(seconds))

    def forget(self, method: str) -> None:
        """The server no longer has the method as it was."""
        self._methods.pop(method, None)

    async def aclose(self) -> None:
        if self._channel is not None:
            await self._channel.close(None)
            self._channel = None

    async def _method(self, full_name: str) -> MethodDescriptor:
        known = self._methods.get(full_name)
        if known is not None:
            self._methods.move_to_end(full_name)
            return known
        await self.ready()
        service, _, name = full_name.rpartition("/")
        try:
            options = self._options(REFLECTION_SECONDS)
            found = await Services(self._open()).method(
                service, name, timeout=options["timeout"], metadata=options["metadata"]
            )
        except grpc.aio.AioRpcError as error:
            raise NotReflected(f"{self._target.target} cannot be asked: {error.code().name}") from error
        self._methods[full_name] = found
        if len(self._methods) > MAX_CACHED:
            self._methods.popitem(last=False)
        return found

    def _open(self) -> grpc.aio.Channel:
        if self._channel is None:
            target = self._target.target
            proxied = not self._target.mesh and not proxies.is_local(target)
            self._channel = (
                grpc.aio.secure_channel(
                    target, grpc.ssl_channel_credentials(), options=[] if proxied else [proxies.NO_PROXY]
                )
                if self._target.tls
                else open_channel(target, tls=self._tls, proxied=proxied)
            )
        return self._channel

    def _options(self, seconds: float) -> Outgoing:
        if self._target.mesh:
            return outgoing(seconds)
        return {"timeout": seconds, "metadata": self._target.metadata}


class GrpcMethodTool:
    """Calls one method. The result is the response in proto3's JSON; of a stream {"messages": […], "more": …}, where
    `more` says that the cap ended it."""

    def __init__(self, server: GrpcServer, descriptor: MethodDescriptor, spec: GrpcMethod) -> None:
        self._server = server
        self._method = descriptor
        self._spec = spec
        self._pool = descriptor.containing_service.file.pool
        name = spec.name or grpc_name(descriptor.containing_service.name, descriptor.name)
        described = spec.description or f"Calls {descriptor.name} of the service {descriptor.containing_service.name}."
        self.declaration = Declaration(name, described, of_message(descriptor.input_type), json=True)
        self.idempotent = may_retry(descriptor)

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        request = self._request(arguments)
        await self._server.ready()
        self._check_rights(request)
        try:
            call = self._server.call(self._method, request, self._spec.seconds)
            if self._method.server_streaming:
                return await self._stream(call)
            return await self._json(await clients.unary(call))
        except DeadlineExceeded as error:
            raise ToolFailed(error.message, reason=Reason.TIMEOUT) from error
        except grpc.aio.AioRpcError as error:
            raise self._failed(error) from error

    def _request(self, arguments: Mapping[str, Any]) -> Message:
        request = GetMessageClass(self._method.input_type)()
        try:
            json_format.ParseDict(dict(arguments), request, descriptor_pool=self._pool)
        except (json_format.ParseError, ValueError, TypeError) as error:
            raise ToolFailed(f"the arguments: {error}", reason=Reason.INVALID_ARGUMENTS) from error
        return request

    def _check_rights(self, request: Message) -> None:
        """What is asked of the mesh's own services is what the run's caller may ask of them: past the gateway nobody
        else looks. Raises ToolFailed."""
        if not self._server.mesh:
            return
        service = self._method.containing_service.full_name
        needed = BY_SERVICE.get(service, {}).get(self._method.name)
        if needed is None:
            if service.startswith(OWN):
                raise ToolFailed(f"{self._spec.method} is no method for tools", reason=Reason.NOT_ALLOWED)
            return  # a service that the operator runs beside the mesh's: it knows what callers may do
        identity = current().identity
        scopes = identity.scopes if identity else frozenset()
        for permission in needed(request):
            if not allows(scopes, permission):
                raise ToolFailed(f"the permission {permission} is missing", reason=Reason.NOT_ALLOWED)

    async def _stream(self, call: Any) -> str:
        """The first messages, as many as the cap and the time allow. The stream is cancelled where it goes on."""
        messages: list[str] = []
        size, more = 0, False
        responses: AsyncGenerator[Any, None] = clients.stream(call)
        try:
            async with aclosing(responses):
                async for response in responses:
                    size += response.ByteSize()
                    if len(messages) >= self._spec.max_messages or size > self._spec.max_bytes:
                        more = True
                        break
                    messages.append(await self._json(response))
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED or not messages:
                raise
            more = True  # a stream that never ends has told what it has
        return f'{{"messages": [{", ".join(messages)}], "more": {str(more).lower()}}}'

    async def _json(self, message: Any) -> str:
        """In a thread where it is large, as others wait for this one."""
        return await asyncio.to_thread(self._shown, message) if message.ByteSize() > LARGE else self._shown(message)

    def _shown(self, message: Any) -> str:
        # Non-ASCII text as it is: escaped, it costs a model several times the tokens.
        told = json_format.MessageToDict(message, always_print_fields_with_no_presence=True, descriptor_pool=self._pool)
        return orjson.dumps(told).decode()

    def _failed(self, error: grpc.aio.AioRpcError) -> ToolFailed:
        code = error.code()
        if code == grpc.StatusCode.UNIMPLEMENTED:
            self._server.forget(self._spec.method)
        said = (error.details() or "")[:MAX_DETAILS]
        return ToolFailed(
            f"{code.name}: {said}" if said else code.name,
            retryable=code in BUSY,
            reason=REASONS.get(code, Reason.FAILED),
        )


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()
