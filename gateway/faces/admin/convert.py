"""Protobuf from the gateway's nouns, and their enums back. Pure. An enum that is not set raises InvalidArgument."""

from collections.abc import Mapping
from dataclasses import asdict

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from headworks.gateway.v1 import (
    api_key_pb2,
    audit_pb2,
    audit_service_pb2,
    budget_pb2,
    cache_pb2,
    guard_policy_pb2,
    mcp_server_pb2,
    principal_pb2,
    privacy_pb2,
    project_pb2,
    rate_limit_pb2,
    role_pb2,
    state_pb2,
    tenant_pb2,
    usage_pb2,
)

from gateway.audit.anchors import Checkpoint
from gateway.audit.store import AuditRecord
from gateway.audit.walk import AuditReport
from gateway.budgets.model import BudgetAlert, Period, Scope, Unit
from gateway.budgets.store import BudgetUsage
from gateway.cache.entry import CachedAnswer
from gateway.cache.stats import CacheStats
from gateway.faces.admin.fields import enum
from gateway.identity.model import AccountState, ApiKey, Binding, Principal, PrincipalKind, Project, Role, Tenant
from gateway.limits.model import Rule
from gateway.mcp.model import StoredServer
from gateway.policies.store import StoredPolicy
from gateway.privacy.policies import RetentionPolicy
from gateway.usage.record import Usage
from gateway.usage.store import UsageSum

STATES: Mapping[AccountState, "state_pb2.State.ValueType"] = {
    AccountState.ACTIVE: state_pb2.STATE_ACTIVE,
    AccountState.SUSPENDED: state_pb2.STATE_SUSPENDED,
}
KINDS: Mapping[PrincipalKind, "principal_pb2.Principal.Kind.ValueType"] = {
    PrincipalKind.USER: principal_pb2.Principal.KIND_USER,
    PrincipalKind.SERVICE_ACCOUNT: principal_pb2.Principal.KIND_SERVICE_ACCOUNT,
}

SCOPES: Mapping[Scope, "budget_pb2.Budget.Scope.ValueType"] = {
    Scope.TENANT: budget_pb2.Budget.SCOPE_TENANT,
    Scope.PROJECT: budget_pb2.Budget.SCOPE_PROJECT,
    Scope.KEY: budget_pb2.Budget.SCOPE_KEY,
    Scope.AGENT: budget_pb2.Budget.SCOPE_AGENT,
}
PERIODS: Mapping[Period, "budget_pb2.Budget.Period.ValueType"] = {
    Period.DAY: budget_pb2.Budget.PERIOD_DAY,
    Period.MONTH: budget_pb2.Budget.PERIOD_MONTH,
}
UNITS: Mapping[Unit, "budget_pb2.Budget.Unit.ValueType"] = {
    Unit.TOKENS: budget_pb2.Budget.UNIT_TOKENS,
    Unit.MONEY: budget_pb2.Budget.UNIT_MONEY,
}


def timestamp(seconds: float | None) -> Timestamp | None:
    """Seconds since the epoch, to the microsecond."""
    if seconds is None:
        return None
    made = Timestamp()
    made.FromMicroseconds(round(seconds * 1e6))
    return made


def state(number: int) -> AccountState:
    return enum(STATES, number, "state")


def principal_kind(number: int) -> PrincipalKind:
    return enum(KINDS, number, "kind")


def scope(number: int) -> Scope:
    return enum(SCOPES, number, "scope")


def period(number: int) -> Period:
    return enum(PERIODS, number, "period")


def unit(number: int) -> Unit:
    return enum(UNITS, number, "unit")


def tenant(tenant: Tenant) -> tenant_pb2.Tenant:
    return tenant_pb2.Tenant(
        id=tenant.id,
        display_name=tenant.display_name,
        state=STATES[tenant.state],
        create_time=timestamp(tenant.created),
    )


def project(project: Project) -> project_pb2.Project:
    return project_pb2.Project(
        id=project.id, tenant=project.tenant, name=project.name, create_time=timestamp(project.created)
    )


def principal(principal: Principal) -> principal_pb2.Principal:
    return principal_pb2.Principal(
        id=principal.id,
        tenant=principal.tenant,
        kind=KINDS[principal.kind],
        name=principal.name,
        display_name=principal.display_name,
        state=STATES[principal.state],
        create_time=timestamp(principal.created),
        groups=principal.groups,
    )


def role(role: Role) -> role_pb2.Role:
    return role_pb2.Role(
        tenant=role.tenant,
        name=role.name,
        permissions=sorted(role.permissions),
        create_time=timestamp(role.created or None),
    )


def binding(binding: Binding) -> role_pb2.RoleBinding:
    return role_pb2.RoleBinding(
        principal=binding.principal, role=binding.role, project=binding.project, create_time=timestamp(binding.created)
    )


def key(key: ApiKey) -> api_key_pb2.ApiKey:
    return api_key_pb2.ApiKey(
        id=key.id,
        tenant=key.tenant,
        project=key.project,
        principal=key.principal,
        name=key.name,
        prefix=key.prefix,
        roles=key.roles,
        scopes=key.scopes,
        create_time=timestamp(key.created),
        expire_time=timestamp(key.expires),
        last_use_time=timestamp(key.last_used),
        revoke_time=timestamp(key.revoked),
        replaced_by=key.replaced_by or "",
    )


def budget(usage: BudgetUsage) -> budget_pb2.Budget:
    return budget_pb2.Budget(
        id=usage.budget.id,
        tenant=usage.budget.tenant,
        scope=SCOPES[usage.budget.scope],
        scope_id=usage.budget.scope_id,
        period=PERIODS[usage.budget.period],
        unit=UNITS[usage.budget.unit],
        amount=usage.budget.amount,
        spent=usage.spent,
        held=usage.held,
        reset_time=timestamp(usage.resets),
    )


def alert(alert: BudgetAlert) -> budget_pb2.BudgetAlert:
    return budget_pb2.BudgetAlert(
        budget=alert.budget.id,
        period=alert.period,
        percent=alert.percent,
        spent=alert.spent,
        amount=alert.budget.amount,
        create_time=timestamp(alert.time),
    )


def rate_limit(rule: Rule) -> rate_limit_pb2.RateLimit:
    return rate_limit_pb2.RateLimit(
        id=rule.id,
        tenant=rule.tenant,
        caller=rule.caller,
        model=rule.model,
        requests_per_minute=rule.requests,
        tokens_per_minute=rule.tokens,
        streams=rule.streams,
    )


def usage(usage: Usage) -> usage_pb2.UsageRecord:
    return usage_pb2.UsageRecord(**{**asdict(usage), "time": timestamp(usage.time)})


def usage_sum(usage: UsageSum) -> usage_pb2.UsageSum:
    return usage_pb2.UsageSum(
        **usage.group,
        calls=usage.calls,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        cost_nanos=usage.cost_nanos,
    )


def guard_policy(policy: StoredPolicy) -> guard_policy_pb2.GuardPolicy:
    return guard_policy_pb2.GuardPolicy(
        tenant=policy.tenant, agent=policy.agent, spec=policy.spec, update_time=timestamp(policy.updated)
    )


def mcp_server(server: StoredServer) -> mcp_server_pb2.McpServer:
    """What is secret of it stays out."""
    spec = server.spec
    timeout = Duration()
    timeout.FromMilliseconds(round(spec.seconds * 1000))
    oauth = spec.oauth
    client = mcp_server_pb2.McpOAuthClient(**asdict(oauth)) if oauth else None
    return mcp_server_pb2.McpServer(
        tenant=server.tenant, name=server.name, url=spec.url, headers=spec.headers, oauth=client, tools=spec.tools,
        timeout=timeout, update_time=timestamp(server.updated),
    )  # fmt: skip


def cache_policy(policy: StoredPolicy) -> cache_pb2.CachePolicy:
    return cache_pb2.CachePolicy(
        tenant=policy.tenant, agent=policy.agent, spec=policy.spec, update_time=timestamp(policy.updated)
    )


def cache_stats(model: str, stats: CacheStats) -> cache_pb2.CacheStats:
    return cache_pb2.CacheStats(model=model, **asdict(stats))


def cached_answer(answer: CachedAnswer) -> cache_pb2.CachedAnswer:
    return cache_pb2.CachedAnswer(
        key=answer.key, partition=answer.partition, model=answer.model, kind=answer.kind,
        create_time=timestamp(answer.created), expire_time=timestamp(answer.expires), size_bytes=answer.size,
        tokens=answer.used.tokens, cost_nanos=answer.used.cost_nanos,
        documents=dict.fromkeys(document.id for document in answer.documents),
    )  # fmt: skip


def audit_record(record: AuditRecord) -> audit_pb2.AuditRecord:
    actor = record.actor or {}
    return audit_pb2.AuditRecord(
        sequence=record.sequence,
        hash=record.hash,
        record=record.record,
        subject=actor.get("subject", ""),
        key=actor.get("key", ""),
        address=actor.get("address", ""),
        chain=record.chain,
    )


def audit_anchor(anchor: Checkpoint) -> audit_pb2.AuditAnchor:
    return audit_pb2.AuditAnchor(number=anchor.number, heads=anchor.heads, time=anchor.time, signature=anchor.signature)


def anchor_of(message: audit_pb2.AuditAnchor) -> Checkpoint:
    return Checkpoint(message.number, message.heads, message.time, message.signature)


def audit_report(report: AuditReport) -> audit_service_pb2.VerifyAuditResponse:
    return audit_service_pb2.VerifyAuditResponse(
        sound=report.sound,
        records=report.records,
        first=report.first,
        last=report.last,
        erased_actors=report.erased_actors,
        erased_contents=report.erased_contents,
        signed=report.signed,
        faults=report.faults,
        findings=[
            audit_pb2.AuditFault(
                fault=found.fault.value, sequence=found.sequence, message=found.message, chain=found.chain
            )
            for found in report.findings
        ],
        chains=[
            audit_pb2.AuditChain(chain=number, records=chain.records, first=chain.first, last=chain.last)
            for number, chain in sorted(report.chains.items())
        ],
        anchors=report.anchors,
    )


def retention(tenant: str, policy: RetentionPolicy) -> privacy_pb2.Retention:
    return privacy_pb2.Retention(tenant=tenant, keep_content=policy.content, days=policy.days)
