"""The services of the administrators' face, put together."""

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from headworks.gateway.v1 import (
    api_key_service_pb2,
    api_key_service_pb2_grpc,
    audit_service_pb2,
    audit_service_pb2_grpc,
    budget_service_pb2,
    budget_service_pb2_grpc,
    cache_service_pb2,
    cache_service_pb2_grpc,
    guard_policy_service_pb2,
    guard_policy_service_pb2_grpc,
    mcp_server_service_pb2,
    mcp_server_service_pb2_grpc,
    principal_service_pb2,
    principal_service_pb2_grpc,
    privacy_service_pb2,
    privacy_service_pb2_grpc,
    project_service_pb2,
    project_service_pb2_grpc,
    rate_limit_service_pb2,
    rate_limit_service_pb2_grpc,
    role_service_pb2,
    role_service_pb2_grpc,
    tenant_service_pb2,
    tenant_service_pb2_grpc,
    usage_service_pb2,
    usage_service_pb2_grpc,
)

from gateway.audit.checkpoints import Checkpoints
from gateway.cache.service import AnswerCache
from gateway.faces.admin.api_keys import ApiKeyServicer
from gateway.faces.admin.audit import AuditServicer
from gateway.faces.admin.budgets import BudgetServicer
from gateway.faces.admin.cache import CacheServicer
from gateway.faces.admin.calls import AdminCalls
from gateway.faces.admin.guard_policies import GuardPolicyServicer
from gateway.faces.admin.mcp_servers import McpServerServicer
from gateway.faces.admin.principals import PrincipalServicer
from gateway.faces.admin.privacy import PrivacyServicer
from gateway.faces.admin.projects import ProjectServicer
from gateway.faces.admin.rate_limits import RateLimitServicer
from gateway.faces.admin.roles import RoleServicer
from gateway.faces.admin.tenants import TenantServicer
from gateway.faces.admin.usage import UsageServicer
from gateway.guard.policies import Policies
from gateway.mcp.registration import ServerRegistration
from gateway.mcp.servers import McpServers
from gateway.privacy.policies import RetentionPolicies
from gateway.privacy.service import Privacy

_MODULES = (
    tenant_service_pb2, project_service_pb2, principal_service_pb2, role_service_pb2, api_key_service_pb2,
    budget_service_pb2, rate_limit_service_pb2, guard_policy_service_pb2, usage_service_pb2, audit_service_pb2,
    privacy_service_pb2, cache_service_pb2, mcp_server_service_pb2,
)  # fmt: skip
SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    service for module in _MODULES for service in module.DESCRIPTOR.services_by_name.values()
)


def add_servicers(
    server: grpc.aio.Server,
    calls: AdminCalls,
    guards: Policies,
    checkpoints: Checkpoints,
    privacy: Privacy,
    retention: RetentionPolicies,
    cache: AnswerCache,
    registration: ServerRegistration,
    mcp_servers: McpServers,
) -> None:
    """Serve SERVICES on `server`."""
    tenant_service_pb2_grpc.add_TenantServiceServicer_to_server(TenantServicer(calls), server)
    project_service_pb2_grpc.add_ProjectServiceServicer_to_server(ProjectServicer(calls), server)
    principal_service_pb2_grpc.add_PrincipalServiceServicer_to_server(PrincipalServicer(calls), server)
    role_service_pb2_grpc.add_RoleServiceServicer_to_server(RoleServicer(calls), server)
    api_key_service_pb2_grpc.add_ApiKeyServiceServicer_to_server(ApiKeyServicer(calls), server)
    budget_service_pb2_grpc.add_BudgetServiceServicer_to_server(BudgetServicer(calls), server)
    rate_limit_service_pb2_grpc.add_RateLimitServiceServicer_to_server(RateLimitServicer(calls), server)
    guard_policy_service_pb2_grpc.add_GuardPolicyServiceServicer_to_server(GuardPolicyServicer(calls, guards), server)
    usage_service_pb2_grpc.add_UsageServiceServicer_to_server(UsageServicer(calls), server)
    audit_service_pb2_grpc.add_AuditServiceServicer_to_server(AuditServicer(calls, checkpoints), server)
    privacy_service_pb2_grpc.add_PrivacyServiceServicer_to_server(PrivacyServicer(calls, privacy, retention), server)
    cache_service_pb2_grpc.add_CacheServiceServicer_to_server(CacheServicer(calls, cache), server)
    mcp = McpServerServicer(calls, registration, mcp_servers)
    mcp_server_service_pb2_grpc.add_McpServerServiceServicer_to_server(mcp, server)
