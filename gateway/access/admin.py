"""What the methods of AdminService need: for each noun "admin.<noun>:read" or "admin.<noun>:write"."""

from collections.abc import Mapping

from gateway.access.needs import Needs, plain

# The noun, the methods that read, and those that write.
_METHODS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("tenants", ("GetTenant", "ListTenants"), ("CreateTenant", "UpdateTenant", "DeleteTenant")),
    ("projects", ("ListProjects",), ("CreateProject", "DeleteProject")),
    ("principals", ("ListPrincipals",), ("CreatePrincipal", "UpdatePrincipal", "DeletePrincipal")),
    ("roles", ("ListRoles", "ListRoleBindings"), ("PutRole", "DeleteRole", "BindRole", "UnbindRole")),
    ("keys", ("GetApiKey", "ListApiKeys"), ("CreateApiKey", "RotateApiKey", "RevokeApiKey")),
    ("budgets", ("ListBudgets", "ListBudgetAlerts"), ("CreateBudget", "UpdateBudget", "DeleteBudget")),
    ("limits", ("ListRateLimits",), ("CreateRateLimit", "UpdateRateLimit", "DeleteRateLimit")),
    ("guards", ("ListGuardPolicies",), ("PutGuardPolicy", "DeleteGuardPolicy")),
    ("usage", ("ListUsage", "SumUsage", "ExportUsage"), ()),
    ("audit", ("ListAuditRecords", "VerifyAudit", "ExportAudit"), ()),
    ("data", ("ExportData", "GetRetention"), ("EraseData", "SetRetention")),
)

ADMIN: Mapping[str, Needs] = {
    method: plain(f"admin.{noun}:{verb}")
    for noun, reading, writing in _METHODS
    for verb, methods in (("read", reading), ("write", writing))
    for method in methods
}
