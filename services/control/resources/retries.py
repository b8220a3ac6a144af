"""Which calls may be made again, and when. Nothing is retried once a response has begun."""

from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from google.protobuf.descriptor import ServiceDescriptor
from headworks.gateway.v1 import (
    api_key_service_pb2,
    audit_service_pb2,
    budget_service_pb2,
    cache_service_pb2,
    guard_policy_service_pb2,
    mcp_server_service_pb2,
    principal_service_pb2,
    privacy_service_pb2,
    project_service_pb2,
    rate_limit_service_pb2,
    role_service_pb2,
    tenant_service_pb2,
    usage_service_pb2,
)
from headworks.orchestrator.v1 import (
    agent_service_pb2,
    orchestrator_service_pb2,
    prompt_service_pb2,
    session_service_pb2,
)
from headworks.retrieval.v1 import retrieval_service_pb2

from services.control.resources.wire import Data, typed
from services.control.topology import GATEWAY, ORCHESTRATOR, RETRIEVAL, TRITON
from services.runtime.contract import TRITON_RETRYABLE, retryable_paths

UNSERVED = "connect-failure,refused-stream,reset-before-request"
"""For any call: it never reached a replica."""
REPEATABLE = UNSERVED + ",unavailable"
"""For calls that may be served twice."""
HTTP_REPEATABLE = UNSERVED + ",retriable-status-codes"
"""The same where the answer is HTTP's, by the codes of `elsewhere`."""
GRPC_CLIENT = "unavailable"
"""gRPC's own client knows no finer condition, and retries by itself what never reached a replica."""

ADMIN: tuple[ServiceDescriptor, ...] = tuple(
    service
    for module in (
        api_key_service_pb2, audit_service_pb2, budget_service_pb2, guard_policy_service_pb2, principal_service_pb2,
        privacy_service_pb2, project_service_pb2, rate_limit_service_pb2, role_service_pb2, tenant_service_pb2,
        usage_service_pb2, cache_service_pb2, mcp_server_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
)  # fmt: skip
"""The administrators' services, one for each noun."""
_ORCHESTRATOR = [
    orchestrator_service_pb2.DESCRIPTOR.services_by_name["OrchestratorService"],
    agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"],
    prompt_service_pb2.DESCRIPTOR.services_by_name["PromptService"],
    session_service_pb2.DESCRIPTOR.services_by_name["SessionService"],
]
_RETRIEVAL = retrieval_service_pb2.DESCRIPTOR.services_by_name["RetrievalService"]
_DESCRIPTORS: dict[str, list[ServiceDescriptor]] = {
    GATEWAY: [*ADMIN, *_ORCHESTRATOR, _RETRIEVAL],
    ORCHESTRATOR: _ORCHESTRATOR,
    RETRIEVAL: [_RETRIEVAL],
}


def retryable(service: str) -> list[str]:
    """The paths of the service's methods that may be served twice."""
    if service == TRITON:
        return list(TRITON_RETRYABLE)
    return retryable_paths(_DESCRIPTORS[service])


def retry_policy(retry_on: str) -> Data:
    """Three more attempts, soon."""
    return {
        "retry_on": retry_on,
        "num_retries": 3,
        "retry_back_off": {"base_interval": "0.1s", "max_interval": "0.5s"},
    }


def elsewhere(retry_on: str) -> Data:
    """The same for Envoy, which can be configured to try another replica than before. It draws again, so often at most,
    while it draws one that was tried."""
    predicate = {"name": "previous_hosts", "typed_config": typed(previous_hosts_pb2.PreviousHostsPredicate)}
    more: Data = {"retry_host_predicate": [predicate], "host_selection_retry_max_attempts": 20}
    codes: Data = {"retriable_status_codes": [503]} if retry_on == HTTP_REPEATABLE else {}
    return retry_policy(retry_on) | more | codes
