"""RPCs as HTTP and JSON, by the google.api.http annotations of their protos: the same servicers and permissions."""

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qs

import grpc
from google.api import annotations_pb2
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.faces.http.message import JSON, Body, Request
from gateway.faces.http.openai import fields
from gateway.faces.http.proto_json import fill, unknown
from gateway.faces.http.routes import Handler, Route
from services.runtime.call import Call
from services.runtime.contract import path
from services.runtime.interceptors.handlers import behaviour
from services.runtime.interceptors.pipeline import CallContext

Handlers = Mapping[str, "grpc.RpcMethodHandler[Any, Any]"]
BODY = HttpBody.DESCRIPTOR.full_name
NO_CONTEXT: Any = None
"""Servicers that are called without gRPC have no use for its context but the call."""


class Registered:
    """Takes what the generated functions add to a server, by the path of the method."""

    def __init__(self) -> None:
        self.handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """The same once more, without their paths."""

    def add_registered_method_handlers(self, service: str, handlers: Handlers) -> None:
        self.handlers |= {f"/{service}/{name}": handler for name, handler in handlers.items()}


def transcoded(services: Iterable[ServiceDescriptor], add: Callable[[Any], None]) -> Iterator[Route]:
    """A route for each method; `add` adds the services' servicers to a server. LookupError for one that it does not."""
    registered = Registered()
    add(registered)
    for service in services:
        for method in service.methods:
            yield _route(method, behaviour(registered.handlers[path(method)]))


def http_binding(method: MethodDescriptor) -> tuple[str, str]:
    """The verb and the path template of a method, from its google.api.http annotation."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = str(rule.WhichOneof("pattern"))
    return verb.upper(), str(getattr(rule, verb))


def _route(method: MethodDescriptor, serve: Any) -> Route:
    verb, template = http_binding(method)
    handler = _streaming(serve, method.output_type.full_name == BODY) if method.server_streaming else _unary(serve)
    return Route(verb, template, path(method), handler, _reader(GetMessageClass(method.input_type)))


def _unary(serve: Any) -> Handler:
    async def handler(message: Message, call: Call) -> AsyncGenerator[Body, None]:
        yield Body(JSON, _json(await serve(message, CallContext(NO_CONTEXT, call))), whole=True)

    return handler


def _streaming(serve: Any, bodies: bool) -> Handler:
    """Bodies go out as they are, other messages as the elements of one array."""

    async def handler(message: Message, call: Call) -> AsyncGenerator[Body, None]:
        before = b"" if bodies else b"["
        async with aclosing(serve(message, CallContext(NO_CONTEXT, call))) as answers:
            async for answer in answers:
                if isinstance(answer, HttpBody):
                    yield Body(answer.content_type, answer.data)
                else:
                    yield Body(JSON, before + _json(answer))
                    before = b","
        if before:
            yield Body(JSON, b"]" if before == b"," else b"[]")

    return handler


def _json(message: Message) -> bytes:
    text = json_format.MessageToJson(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=None
    )
    return text.encode()


def _reader(form: type[Message]) -> Callable[[Request], Message]:
    """Fields come from the query, then from the body, then from the path. InvalidArgument for a name that none has."""

    def read(request: Request) -> Message:
        message = form()
        fill(message, _of_query(request.query, message.DESCRIPTOR.fields_by_name))
        if request.body:
            fill(message, fields.parse(request.body))
        for name, value in request.params.items():
            setattr(message, name, value)
        return message

    return read


def _of_query(query: str, known: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, values in parse_qs(query, keep_blank_values=True).items():
        field = known.get(name)
        if field is None:
            raise unknown(name, name, known)
        read = [_value(field, value) for value in values]
        found[name] = read if field.is_repeated else read[-1]
    return found


def _value(field: Any, text: str) -> Any:
    """In JSON only truth values are no strings."""
    if field.type == FieldDescriptor.TYPE_BOOL:
        return {"true": True, "1": True, "false": False, "0": False}.get(text, text)
    return text
