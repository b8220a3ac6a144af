"""The permission table: what every method that the gateway serves needs. A method without an entry is not served."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.runtime import needs
from services.runtime.needs import Needs, of_field, plain

DEFAULT_MODEL = "rag"
# Stands for another model, which the right to call is asked for once it is known which one that is.
ALIAS = "default"


def nothing(request: Any) -> Sequence[str]:
    """Being who one is suffices. For what only the mesh itself calls, and for what OpenAI's face asks itself, once it
    has read the body."""
    return ()


def of_param(verb: str, name: str) -> Needs:
    """The permission for what a variable of an HTTP path names."""
    return lambda request: (f"{verb}:{request.params[name]}",)


def of_run(request: Any) -> Sequence[str]:
    """What a run needs: its agent or model, and what the caller names beside it. An agent's own collections, tools and
    models come with the agent."""
    return run(request.model, request.collection, request.session_id)


def run(model: str, collection: str = "", session_id: str = "") -> Sequence[str]:
    """The same for a run that comes in another form."""
    needed = [] if model == ALIAS else [f"models.call:{model_name(model)}"]
    if collection:
        needed.append(f"collections.read:{collection}")
    if session_id:
        needed.append(f"sessions.write:{session_id}")
    return needed


def model_name(model: str) -> str:
    """The name of the agent or model: without the version, "rag" for none."""
    return model.partition("@")[0] or DEFAULT_MODEL


# The administrators' services need "admin.<noun>:read" or "admin.<noun>:write".
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
    (
        "CacheService",
        "cache",
        ("ListCachePolicies", "GetCacheStats", "ListCachedAnswers"),
        ("PutCachePolicy", "DeleteCachePolicy", "PurgeCache"),
    ),
    ("UsageService", "usage", ("ListUsage", "SumUsage", "ExportUsage"), ()),
    ("AuditService", "audit", ("ListAuditRecords", "VerifyAudit", "AnchorAudit", "ExportAudit"), ()),
    ("McpServerService", "mcp", ("ListMcpServers", "ListMcpServerTools"), ("PutMcpServer", "DeleteMcpServer")),
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


HTTP: Mapping[str, Needs] = {
    # The body is JSON: the face asks with `authorize`, once it has read it.
    "POST /v1/chat/completions": nothing,
    "POST /v1/completions": nothing,
    "POST /v1/moderations": nothing,
    "POST /v1/embeddings": nothing,
    "POST /v1/rerank": nothing,
    "POST /v2/rerank": nothing,
    "POST /v1/search": nothing,
    "POST /v1/responses": nothing,
    "POST /v1/messages": nothing,
    "POST /v1/messages/count_tokens": nothing,
    "POST /mcp": nothing,
    # The card of the only agent that the caller may call.
    "GET /.well-known/agent-card.json": nothing,
    "GET /a2a/{agent}/.well-known/agent-card.json": of_param("models.call", "agent"),
    "POST /a2a/{agent}": of_param("models.call", "agent"),
    "GET /v1/models": plain("models.read:*"),
    "GET /v1/models/{model}": of_param("models.read", "model"),
    "POST /v1/files": plain("files.write:*"),
    "GET /v1/files": plain("files.read:*"),
    "GET /v1/files/{file_id}": of_param("files.read", "file_id"),
    "GET /v1/files/{file_id}/content": of_param("files.read", "file_id"),
    "DELETE /v1/files/{file_id}": of_param("files.write", "file_id"),
    # Of files that are put into a vector store the face asks, too, once it has read the body.
    "POST /v1/vector_stores": plain("collections.write:*"),
    "GET /v1/vector_stores": plain("collections.read:*"),
    "GET /v1/vector_stores/{store}": of_param("collections.read", "store"),
    "POST /v1/vector_stores/{store}": of_param("collections.write", "store"),
    "DELETE /v1/vector_stores/{store}": of_param("collections.delete", "store"),
    "POST /v1/vector_stores/{store}/search": of_param("collections.read", "store"),
    "POST /v1/vector_stores/{store}/files": of_param("collections.write", "store"),
    "GET /v1/vector_stores/{store}/files": of_param("collections.read", "store"),
    "GET /v1/vector_stores/{store}/files/{file_id}": of_param("collections.read", "store"),
    "POST /v1/vector_stores/{store}/files/{file_id}": of_param("collections.write", "store"),
    "DELETE /v1/vector_stores/{store}/files/{file_id}": of_param("collections.write", "store"),
    "GET /v1/vector_stores/{store}/files/{file_id}/content": of_param("collections.read", "store"),
    "POST /v1/vector_stores/{store}/file_batches": of_param("collections.write", "store"),
    "GET /v1/vector_stores/{store}/file_batches/{batch}": of_param("collections.read", "store"),
    "POST /v1/vector_stores/{store}/file_batches/{batch}/cancel": of_param("collections.write", "store"),
    "GET /v1/vector_stores/{store}/file_batches/{batch}/files": of_param("collections.read", "store"),
}
"""Of the paths that are no RPC's, by the route's name."""

# Of documents with access groups a caller sees those that name a group of its own, or with "documents.others:read" all:
# retrieval asks, for it knows the lists.

# Runs and sessions are their user's. Of others' a caller sees what "runs.others:<read|write>" and
# "sessions.others:<read|write>" allow, which the orchestrator asks for: it knows whose they are.
RUNS: Mapping[str, Needs] = {
    "Run": of_run,
    "Attach": of_field("runs.read", "run_id"),
    "Cancel": of_field("runs.write", "run_id"),
    "Decide": of_field("runs.decide", "run_id"),
    "GetRun": of_field("runs.read", "run_id"),
    "ListRuns": plain("runs.read:*"),
    "ListModels": plain("models.read:*"),
}

AGENTS: Mapping[str, Needs] = {
    # The name is within the spec, whose YAML is for the orchestrator to read.
    "ApplyAgent": plain("agents.write:*"),
    "GetAgent": of_field("agents.read", "name"),
    "ListAgents": of_field("agents.read", "name"),
    "DeleteAgent": of_field("agents.write", "name"),
}

PROMPTS: Mapping[str, Needs] = {
    # The name is within the YAML, as an agent's is.
    "ApplyPrompt": plain("prompts.write:*"),
    "GetPrompt": of_field("prompts.read", "name"),
    "ListPrompts": of_field("prompts.read", "name"),
    "RenderPrompt": of_field("prompts.read", "name"),
    "DeletePrompt": of_field("prompts.write", "name"),
}

SESSIONS: Mapping[str, Needs] = {
    "GetSession": of_field("sessions.read", "session_id"),
    "ListSessions": plain("sessions.read:*"),
    "DeleteSession": of_field("sessions.write", "session_id"),
}

# Called from within the mesh only, under the token of the run that asks.
GUARD: Mapping[str, Needs] = {"Screen": nothing}

# Called by the orchestrator only: see gateway.faces.identity.OrchestratorOnly.
IDENTITY: Mapping[str, Needs] = {"RefreshIdentity": nothing}

TABLE: Mapping[str, Mapping[str, Needs]] = {
    **ADMIN,
    "headworks.gateway.v1.GuardService": GUARD,
    "headworks.gateway.v1.IdentityService": IDENTITY,
    "headworks.orchestrator.v1.OrchestratorService": RUNS,
    "headworks.orchestrator.v1.AgentService": AGENTS,
    "headworks.orchestrator.v1.PromptService": PROMPTS,
    "headworks.orchestrator.v1.SessionService": SESSIONS,
    **needs.BY_SERVICE,
}


_USER = {
    "models.call:*", "models.read:*", "embeddings.call:*", "collections.read:*", "agents.read:*",
    "prompts.read:*",
    "runs.read:*", "runs.write:*", "sessions.read:*", "sessions.write:*", "mcp.call:*", "mcp.read:*",
}  # fmt: skip
_DEVELOPER = _USER | {
    "agents.write:*", "prompts.write:*", "collections.write:*", "collections.delete:*", "runs.decide:*",
    "files.read:*", "files.write:*",
}  # fmt: skip
# What a tenant's own administrators look after. Tenants themselves are for operators.
NOUNS = (
    "projects", "principals", "keys", "roles", "budgets", "limits", "guards", "cache", "usage", "audit", "data",
    "mcp",
)  # fmt: skip

OPERATOR = "operator"
BUILT_IN: Mapping[str, frozenset[str]] = {
    "user": frozenset(_USER),
    "developer": frozenset(_DEVELOPER),
    "auditor": frozenset(
        {"models.read:*", "runs.read:*", "runs.others:read"} | {f"admin.{noun}:read" for noun in NOUNS}
    ),
    "admin": frozenset(
        _DEVELOPER
        | {"runs.others:*", "sessions.others:*", "documents.others:read", "files.others:*"}
        | {f"admin.{noun}:*" for noun in NOUNS}
    ),
    OPERATOR: frozenset({"*"}),
}
