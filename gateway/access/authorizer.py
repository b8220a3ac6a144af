"""The authorizer before every method: the permissions that its request needs, asked of the caller."""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from gateway.access.authorize import authorize, missing
from gateway.access.permissions import HTTP, TABLE
from services.runtime.call import Call
from services.runtime.contract import path
from services.runtime.errors import InvalidArgument
from services.runtime.needs import Needs


class Authorizer:
    """Lets pass what the permission tables allow, of RPCs and of HTTP's own paths. Messages that are passed on as bytes
    are read here.

    Raises LookupError where a method of the services has no entry.
    """

    def __init__(
        self,
        services: Iterable[ServiceDescriptor],
        table: Mapping[str, Mapping[str, Needs]] = TABLE,
        http: Mapping[str, Needs] = HTTP,
    ) -> None:
        self._rules: dict[str, tuple[Needs, type[Message] | None]] = {
            name: (needs, None) for name, needs in http.items()
        }
        for service in services:
            for method in service.methods:
                needs = table.get(service.full_name, {}).get(method.name)
                if needs is None:
                    raise LookupError(f"{method.full_name} has no entry in the permission table")
                self._rules[path(method)] = needs, GetMessageClass(method.input_type)

    def check(self, names: Iterable[str]) -> None:
        """Raises LookupError where one of the methods has no entry."""
        for name in names:
            if name not in self._rules:
                raise LookupError(f"{name} has no entry in the permission table")

    def admit(self, call: Call, request: Any) -> None:
        """Raises PermissionDenied, naming what is missing; InvalidArgument for bytes that are no such message."""
        rule = self._rules.get(call.method)
        if rule is None or call.identity is None:
            raise missing(call.method)
        needs, form = rule
        for permission in needs(_message(request, form)):
            authorize(call.identity, permission)


def _message(request: Any, form: type[Message] | None) -> Any:
    if form is None or isinstance(request, Message):
        return request
    try:
        return form.FromString(request or b"")
    except DecodeError as error:
        raise InvalidArgument(f"the request is no {form.DESCRIPTOR.full_name}") from error
