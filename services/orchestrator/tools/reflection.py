"""The descriptors of a service, asked of its server by gRPC reflection."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection_pb2 as pb

from services.runtime import clients

# The messages of both versions are the same; older servers know the first, some newer ones only the second.
VERSIONS = ("grpc.reflection.v1alpha", "grpc.reflection.v1")
MAX_FILES = 500
MAX_BYTES = 8 << 20
Metadata = tuple[tuple[str, str], ...]


class NotReflected(Exception):
    """The server does not tell of what was asked for; the message says why."""


class Services:
    """The services of one server, their descriptors in a pool of their own."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def method(self, service: str, name: str, *, timeout: float, metadata: Metadata = ()) -> MethodDescriptor:
        """Raises NotReflected, and AioRpcError where the server cannot be asked."""
        try:
            files = await self._files(service, timeout, metadata)
            found = _pool(files).FindServiceByName(service)
        except (KeyError, TypeError, ValueError) as error:
            raise NotReflected(f"the server has no service {service}") from error
        method = found.methods_by_name.get(name)
        if method is None:
            names = ", ".join(sorted(found.methods_by_name))
            raise NotReflected(f"{service} has no method {name}; it has: {names}")
        return method

    async def _files(self, symbol: str, timeout: float, metadata: Metadata) -> dict[str, FileDescriptorProto]:
        """The file with the symbol and all it imports, in whichever version the server speaks."""
        for version in VERSIONS:
            try:
                return await self._ask(version, symbol, timeout, metadata)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.UNIMPLEMENTED:
                    raise
        raise NotReflected("the server serves no reflection")

    async def _ask(
        self, version: str, symbol: str, timeout: float, metadata: Metadata
    ) -> dict[str, FileDescriptorProto]:
        method: Any = self._channel.stream_stream(
            f"/{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=pb.ServerReflectionRequest.SerializeToString,
            response_deserializer=pb.ServerReflectionResponse.FromString,
        )
        call = method(timeout=timeout, metadata=metadata)
        files: dict[str, FileDescriptorProto] = {}
        size = 0
        async with aclosing(clients.stream(call)) as answers:
            request = pb.ServerReflectionRequest(file_containing_symbol=symbol)
            while request is not None:
                await call.write(request)
                for content in await _contents(answers):
                    size += len(content)
                    file = FileDescriptorProto.FromString(content)
                    files[file.name] = file
                if len(files) > MAX_FILES or size > MAX_BYTES:
                    raise NotReflected(f"what {symbol} needs is larger than {MAX_FILES} files or {MAX_BYTES} bytes")
                request = _next(files)
        return files


async def _contents(answers: AsyncIterator[Any]) -> list[bytes]:
    answer = await anext(answers, None)
    if answer is None:
        raise NotReflected("the server ended the reflection early")
    if answer.HasField("error_response"):
        raise NotReflected(f"the server answered: {answer.error_response.error_message}")
    return list(answer.file_descriptor_response.file_descriptor_proto)


def _next(files: dict[str, FileDescriptorProto]) -> Any:
    """The request for the next file that is imported and not there; None where all are."""
    for file in files.values():
        for name in file.dependency:
            if name not in files:
                return pb.ServerReflectionRequest(file_by_filename=name)
    return None


def _pool(files: dict[str, FileDescriptorProto]) -> DescriptorPool:
    """The files in a pool, imported ones before those that import them."""
    pool = DescriptorPool()
    added: set[str] = set()

    def add(name: str, above: tuple[str, ...] = ()) -> None:
        if name in added or name in above:
            return
        for dependency in files[name].dependency:
            add(dependency, (*above, name))
        pool.AddSerializedFile(files[name].SerializeToString())
        added.add(name)

    for name in files:
        add(name)
    return pool
