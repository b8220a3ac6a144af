"""What the methods of the administrators' services need: for each noun "admin.<noun>:read" or "admin.<noun>:write"."""

from collections.abc import Mapping

from gateway.access.needs import Needs, plain

PACKAGE = "headworks.gateway.v1"
# The service, the noun of its permissions, the methods that read, and those that write.
_METHODS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("TenantService", "tenants", ("GetTenant", "ListTenants"), ("CreateTenant", "UpdateTenant", "DeleteTenant")),
    ("ProjectService", "projects", ("ListProjects",), ("CreateProject", "DeleteProject")),
    ("PrincipalService", "principals", ("ListPrincipals",), ("CreatePrincipal", "UpdatePrincipal", "DeletePrincipal")),
    ("RoleService", "roles", ("ListRoles", "ListRoleBindings"), ("PutRole", "DeleteRole", "BindRole", "UnbindRole")),
    ("ApiKeyService", "keys", ("GetApiKey", "ListApiKeys"), ("CreateApiKey", "RotateApiKey", "RevokeApiKey")),
    ("BudgetService", "budgets", ("ListBudgets", "ListBudgetAlerts"), ("CreateBudget", "UpdateBudget", "DeleteBudget")),
    ("RateLimitService", "limits", ("ListRateLimits",), ("CreateRateLimit", "UpdateRateLimit", "DeleteRateLimit")),
    ("GuardPolicyService", "guards", ("ListGuardPolicies",), ("PutGuardPolicy", "DeleteGuardPolicy")),
    ("UsageService", "usage", ("ListUsage", "SumUsage", "ExportUsage"), ()),
    ("AuditService", "audit", ("ListAuditRecords", "VerifyAudit", "ExportAudit"), ()),
    ("PrivacyService", "data", ("ExportData", "GetRetention"), ("EraseData", "SetRetention")),
)

ADMIN: Mapping[str, Mapping[str, Needs]] = {
    f"{PACKAGE}.{service}": {
        method: plain(f"admin.{noun}:{verb}")
        for verb, methods in (("read", reading), ("write", writing))
        for method in methods
    }
    for service, noun, reading, writing in _METHODS
}
