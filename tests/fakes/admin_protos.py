"""The messages of all the administrators' services in one namespace, and their methods by name."""
# ruff: noqa: F403

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from headworks.gateway.v1.api_key_pb2 import *
from headworks.gateway.v1.api_key_service_pb2 import *
from headworks.gateway.v1.audit_pb2 import *
from headworks.gateway.v1.audit_service_pb2 import *
from headworks.gateway.v1.budget_pb2 import *
from headworks.gateway.v1.budget_service_pb2 import *
from headworks.gateway.v1.cache_pb2 import *
from headworks.gateway.v1.cache_service_pb2 import *
from headworks.gateway.v1.guard_policy_pb2 import *
from headworks.gateway.v1.guard_policy_service_pb2 import *
from headworks.gateway.v1.mcp_server_pb2 import *
from headworks.gateway.v1.mcp_server_service_pb2 import *
from headworks.gateway.v1.principal_pb2 import *
from headworks.gateway.v1.principal_service_pb2 import *
from headworks.gateway.v1.privacy_pb2 import *
from headworks.gateway.v1.privacy_service_pb2 import *
from headworks.gateway.v1.project_pb2 import *
from headworks.gateway.v1.project_service_pb2 import *
from headworks.gateway.v1.rate_limit_pb2 import *
from headworks.gateway.v1.rate_limit_service_pb2 import *
from headworks.gateway.v1.role_pb2 import *
from headworks.gateway.v1.role_service_pb2 import *
from headworks.gateway.v1.state_pb2 import *
from headworks.gateway.v1.tenant_pb2 import *
from headworks.gateway.v1.tenant_service_pb2 import *
from headworks.gateway.v1.usage_pb2 import *
from headworks.gateway.v1.usage_service_pb2 import *

from gateway.faces.admin.assembly import SERVICES as SERVICES
from services.runtime.contract import path

METHODS: Mapping[str, MethodDescriptor] = {method.name: method for service in SERVICES for method in service.methods}


def path_of(name: str) -> str:
    """The path of a method on the wire."""
    return path(METHODS[name])


class Stub:
    """Every method of the services, by its name, over one channel."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def __getattr__(self, name: str) -> Any:
        method = METHODS[name]
        make = self._channel.unary_stream if method.server_streaming else self._channel.unary_unary
        return make(
            path(method),
            request_serializer=GetMessageClass(method.input_type).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
