"""HTTP and JSON to gRPC and back: Envoy's transcoder, fed with the gateway's own descriptors."""

import base64

from envoy.extensions.filters.http.grpc_json_transcoder.v3 import transcoder_pb2
from google.api import annotations_pb2
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from services.control.resources.retries import ADMIN, OPENAI
from services.control.resources.wire import Data, typed

# The most embeddings in one answer, as JSON numbers, need 10 MiB.
MAX_RESPONSE = 16 << 20


def transcoder(max_body_bytes: int) -> Data:
    """The filter. A JSON path it does not know is answered 404; what is gRPC already passes untouched."""
    return {
        "name": "grpc_json_transcoder",
        "typed_config": typed(
            transcoder_pb2.GrpcJsonTranscoder,
            proto_descriptor_bin=base64.b64encode(descriptor_set()).decode(),
            services=[service.full_name for service in (OPENAI, *ADMIN)],
            match_incoming_request_route=True,
            ignore_unknown_query_parameters=True,
            print_options={"preserve_proto_field_names": True, "always_print_primitive_fields": True},
            request_validation_options={"reject_unknown_method": True},
            max_request_body_size=max_body_bytes,
            max_response_body_size=MAX_RESPONSE,
        ),
    }


def descriptor_set() -> bytes:
    """The files of the services and all they import, each after what it needs."""
    files: dict[str, FileDescriptor] = {}

    def visit(file: FileDescriptor) -> None:
        for dependency in file.dependencies:
            visit(dependency)
        files.setdefault(file.name, file)

    for service in (OPENAI, *ADMIN):
        visit(service.file)
    found = FileDescriptorSet()
    for file in files.values():
        file.CopyToProto(found.file.add())
    return found.SerializeToString(deterministic=True)


def http_binding(method: MethodDescriptor) -> tuple[str, str]:
    """The verb and the path template of a method, from its google.api.http annotation."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = str(rule.WhichOneof("pattern"))
    return verb.upper(), str(getattr(rule, verb))
