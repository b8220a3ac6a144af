"""How an administrator of one tenant may try to reach another's, for every method of the administrators' services."""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from tests.fakes import admin_protos as pb
from tests.integration.gateway.isolation.attempts import OK, Attempt, attempt
from tests.integration.gateway.isolation.world import OWNER, World

DENIED = "PERMISSION_DENIED"
MISSING = "*_NOT_FOUND"
FOREVER = 1 << 40


def named(form: Callable[..., Message], **fields: Any) -> Attempt:
    """Asks for the owner by its name."""
    return attempt(form(tenant=OWNER, **fields), DENIED)


def owned(form: Callable[..., Message], noun: str, ends: str | None = MISSING, **fields: Any) -> list[Attempt]:
    """Asks for what the owner has by its id, as if it were one's own; and by the owner's name."""
    return [
        attempt(lambda world: form(id=world.ids.get(noun, "none"), **fields), ends),
        attempt(lambda world: form(id=world.ids.get(noun, "none"), tenant=OWNER, **fields), DENIED),
    ]


def of_principal(form: Callable[..., Message], ends: str, **fields: Any) -> list[Attempt]:
    """The same for what hangs on a principal of the owner's."""

    def principal(world: World, **more: Any) -> Message:
        return form(principal=world.ids.get("principal", "none"), **more, **fields)

    return [attempt(principal, ends), attempt(lambda world: principal(world, tenant=OWNER), DENIED)]


TENANTS: dict[str, list[Attempt]] = {
    "CreateTenant": [attempt(pb.CreateTenantRequest(id="gamma"), DENIED)],
    "GetTenant": [attempt(pb.GetTenantRequest(id=OWNER), DENIED)],
    "ListTenants": [attempt(pb.ListTenantsRequest(), DENIED)],
    "UpdateTenant": [attempt(pb.UpdateTenantRequest(id=OWNER, state=pb.STATE_SUSPENDED), DENIED)],
    "DeleteTenant": [attempt(pb.DeleteTenantRequest(id=OWNER), DENIED)],
    "CreateProject": [named(pb.CreateProjectRequest, name="search")],
    "ListProjects": [named(pb.ListProjectsRequest), attempt(pb.ListProjectsRequest(), OK)],
    "DeleteProject": owned(pb.DeleteProjectRequest, "project"),
}

CALLERS: dict[str, list[Attempt]] = {
    "CreatePrincipal": [named(pb.CreatePrincipalRequest, kind=pb.Principal.KIND_USER, name="eve")],
    "ListPrincipals": [named(pb.ListPrincipalsRequest), attempt(pb.ListPrincipalsRequest(), OK)],
    "UpdatePrincipal": owned(pb.UpdatePrincipalRequest, "principal", state=pb.STATE_SUSPENDED),
    "DeletePrincipal": owned(pb.DeletePrincipalRequest, "principal"),
    "PutRole": [
        named(pb.PutRoleRequest, name="reader", permissions=["models.read:*"]),
        attempt(pb.PutRoleRequest(name="reader", permissions=["*"]), DENIED),
        attempt(pb.PutRoleRequest(name="reader", permissions=["admin.tenants:read"]), DENIED),
    ],
    "ListRoles": [named(pb.ListRolesRequest), attempt(pb.ListRolesRequest(), OK)],
    "DeleteRole": [named(pb.DeleteRoleRequest, name="keeping"), attempt(pb.DeleteRoleRequest(name="keeping"), MISSING)],
    "BindRole": [
        *of_principal(pb.BindRoleRequest, MISSING, role="user"),
        *of_principal(pb.BindRoleRequest, DENIED, role="operator"),
    ],
    "UnbindRole": of_principal(pb.UnbindRoleRequest, MISSING, role="user"),
    "ListRoleBindings": of_principal(pb.ListRoleBindingsRequest, OK),
    "CreateApiKey": of_principal(pb.CreateApiKeyRequest, MISSING),
    "GetApiKey": owned(pb.GetApiKeyRequest, "key"),
    "ListApiKeys": of_principal(pb.ListApiKeysRequest, OK),
    "RotateApiKey": owned(pb.RotateApiKeyRequest, "key"),
    "RevokeApiKey": owned(pb.RevokeApiKeyRequest, "key"),
}

_BUDGET: dict[str, Any] = {
    "scope": pb.Budget.SCOPE_TENANT,
    "period": pb.Budget.PERIOD_DAY,
    "unit": pb.Budget.UNIT_TOKENS,
    "amount": 1,
}
AMOUNTS: dict[str, list[Attempt]] = {
    "CreateBudget": [named(pb.CreateBudgetRequest, **_BUDGET)],
    "ListBudgets": [named(pb.ListBudgetsRequest), attempt(pb.ListBudgetsRequest(), OK)],
    "UpdateBudget": owned(pb.UpdateBudgetRequest, "budget", amount=1),
    "DeleteBudget": owned(pb.DeleteBudgetRequest, "budget"),
    "ListBudgetAlerts": [named(pb.ListBudgetAlertsRequest), attempt(pb.ListBudgetAlertsRequest(), OK)],
    "CreateRateLimit": [
        named(pb.CreateRateLimitRequest, requests_per_minute=1),
        attempt(pb.CreateRateLimitRequest(tenant="*", requests_per_minute=1), DENIED),
        attempt(pb.CreateRateLimitRequest(together=True, requests_per_minute=1), DENIED),
    ],
    "ListRateLimits": [
        named(pb.ListRateLimitsRequest),
        attempt(pb.ListRateLimitsRequest(every_tenant=True), DENIED),
        attempt(pb.ListRateLimitsRequest(), OK),
    ],
    "UpdateRateLimit": [
        attempt(lambda world: pb.UpdateRateLimitRequest(id=world.ids.get("limit", ""), streams=1), MISSING)
    ],
    "DeleteRateLimit": [attempt(lambda world: pb.DeleteRateLimitRequest(id=world.ids.get("limit", "")), MISSING)],
    "PutGuardPolicy": [named(pb.PutGuardPolicyRequest, spec="guards: []\n")],
    "ListGuardPolicies": [named(pb.ListGuardPoliciesRequest), attempt(pb.ListGuardPoliciesRequest(), OK)],
    "DeleteGuardPolicy": [named(pb.DeleteGuardPolicyRequest)],
    "PutMcpServer": [named(pb.PutMcpServerRequest, name="wiki", url="https://thief.example/mcp")],
    "ListMcpServers": [named(pb.ListMcpServersRequest), attempt(pb.ListMcpServersRequest(), OK)],
    "ListMcpServerTools": [
        named(pb.ListMcpServerToolsRequest, name="wiki"),
        attempt(pb.ListMcpServerToolsRequest(name="wiki"), MISSING),
    ],
    "DeleteMcpServer": [
        named(pb.DeleteMcpServerRequest, name="wiki"),
        attempt(pb.DeleteMcpServerRequest(name="wiki"), MISSING),
    ],
    "PutCachePolicy": [
        named(pb.PutCachePolicyRequest, spec="enabled: true"),
        attempt(pb.PutCachePolicyRequest(tenant="*", spec="enabled: true"), "INVALID_ARGUMENT"),
        attempt(pb.PutCachePolicyRequest(spec="shared_by: tenants"), "INVALID_ARGUMENT"),
    ],
    "ListCachePolicies": [named(pb.ListCachePoliciesRequest), attempt(pb.ListCachePoliciesRequest(), OK)],
    "DeleteCachePolicy": [named(pb.DeleteCachePolicyRequest)],
    "GetCacheStats": [named(pb.GetCacheStatsRequest), attempt(pb.GetCacheStatsRequest(), OK)],
    "ListCachedAnswers": [named(pb.ListCachedAnswersRequest), attempt(pb.ListCachedAnswersRequest(), OK)],
    "PurgeCache": [named(pb.PurgeCacheRequest), attempt(pb.PurgeCacheRequest(key="none"), OK)],
}

RECORDS: dict[str, list[Attempt]] = {
    "ListUsage": [named(pb.ListUsageRequest), attempt(pb.ListUsageRequest(), OK)],
    "SumUsage": [
        named(pb.SumUsageRequest),
        attempt(pb.SumUsageRequest(every_tenant=True), DENIED),
        attempt(pb.SumUsageRequest(by=["tenant"]), None),
    ],
    "ExportUsage": [named(pb.ExportUsageRequest), attempt(pb.ExportUsageRequest(), OK)],
    "ListAuditRecords": [
        named(pb.ListAuditRecordsRequest),
        attempt(pb.ListAuditRecordsRequest(every_tenant=True), DENIED),
        attempt(pb.ListAuditRecordsRequest(subject=OWNER), OK),
    ],
    "VerifyAudit": [attempt(pb.VerifyAuditRequest(), DENIED)],
    "AnchorAudit": [attempt(pb.AnchorAuditRequest(), DENIED)],
    "ExportAudit": [
        named(pb.ExportAuditRequest),
        attempt(pb.ExportAuditRequest(every_tenant=True), DENIED),
        attempt(pb.ExportAuditRequest(subject=OWNER), OK),
    ],
    "ExportData": [named(pb.ExportDataRequest), attempt(pb.ExportDataRequest(subject=OWNER), None)],
    "EraseData": [
        named(pb.EraseDataRequest, confirm=True, everything=True),
        attempt(pb.EraseDataRequest(subject=OWNER, confirm=True), None),
    ],
    "GetRetention": [named(pb.GetRetentionRequest), attempt(pb.GetRetentionRequest(), OK)],
    "SetRetention": [named(pb.SetRetentionRequest, keep_content=True)],
}

_ATTEMPTS = TENANTS | CALLERS | AMOUNTS | RECORDS
ADMIN: dict[str, dict[str, list[Attempt]]] = {
    service.full_name: {method.name: _ATTEMPTS[method.name] for method in service.methods} for service in pb.SERVICES
}
