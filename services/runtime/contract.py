"""What the protos say of their methods, read from the descriptors."""

from collections.abc import Iterator

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

RETRYABLE = (MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT)
TRITON_RETRYABLE = tuple(
    f"/inference.GRPCInferenceService/{method}"
    for method in ("ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata", "ModelInfer")
)
"""Triton's proto declares nothing; these read, and inference is a pure function of its input."""


def path(method: MethodDescriptor) -> str:
    """The method's path on the wire, /package.Service/Method."""
    return f"/{method.containing_service.full_name}/{method.name}"


def may_retry(method: MethodDescriptor) -> bool:
    """Whether a call of the method may be made again when it is not known to have been served: it declares an
    idempotency level, and it does not stream its request."""
    return method.GetOptions().idempotency_level in RETRYABLE and not method.client_streaming


def retryable_paths(services: Iterator[ServiceDescriptor] | list[ServiceDescriptor]) -> list[str]:
    """The paths of the services' methods that may be retried."""
    return [path(method) for service in services for method in service.methods if may_retry(method)]
