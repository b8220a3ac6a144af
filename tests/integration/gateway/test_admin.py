"""The administrators' services over a channel, on both databases."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import MethodOptions

from gateway.usage.record import Spent, usage_of
from gateway.usage.writing import write_usage
from services.runtime.statuses import error_info
from tests.fakes import admin_protos as pb
from tests.fakes.administration import PEOPLE, ROOT, Administration, administration
from tests.fakes.identity import Keys
from tests.fakes.serving import channel_for

OK = grpc.StatusCode.OK
REFUSALS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)
TOKENS_A_DAY: Any = {"scope": 1, "period": 1, "unit": 2}


@dataclass
class Admin:
    """The service, and callers of it."""

    office: Administration
    stub: Any

    async def __call__(self, method: str, request: Any, key: str = ROOT) -> Any:
        return await getattr(self.stub, method)(request, metadata=(("authorization", f"Bearer {key}"),), timeout=20)

    async def stream(self, method: str, request: Any, key: str = ROOT) -> list[Any]:
        call = getattr(self.stub, method)(request, metadata=(("authorization", f"Bearer {key}"),), timeout=20)
        return [message async for message in call]

    async def account(self, name: str = "ci", **fields: Any) -> str:
        kind = pb.Principal.KIND_SERVICE_ACCOUNT
        made = await self("CreatePrincipal", pb.CreatePrincipalRequest(kind=kind, name=name, **fields))
        return str(made.principal.id)

    async def refused(self, method: str, request: Any, key: str = ROOT) -> tuple[grpc.StatusCode, str, str]:
        """The status, the reason and the message of a call that fails."""
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await self(method, request, key)
        info = error_info(raised.value)
        return raised.value.code(), info.reason if info else "", raised.value.details() or ""


@pytest.fixture
async def admin(records_url: str, keys: Keys) -> AsyncIterator[Admin]:
    async with administration(records_url, keys) as office, channel_for(office.app, services=[*pb.SERVICES]) as channel:
        yield Admin(office, pb.Stub(channel))


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("CreateBudget", pb.CreateBudgetRequest(amount=5, **TOKENS_A_DAY)),
        ("CreateRateLimit", pb.CreateRateLimitRequest(requests_per_minute=5)),
        ("PutGuardPolicy", pb.PutGuardPolicyRequest(spec="guards: []")),
        ("CreateProject", pb.CreateProjectRequest(name="a")),
        ("CreatePrincipal", pb.CreatePrincipalRequest(kind=pb.Principal.KIND_USER, name="a")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_nothing_is_made_for_a_tenant_that_is_not_there(admin: Admin, method: str, request_: Any) -> None:
    request_.tenant = "ghost"
    code, reason, message = await admin.refused(method, request_)
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "TENANT_NOT_FOUND")
    assert "ghost" in message


async def test_a_limit_without_a_figure_is_none(admin: Admin) -> None:
    code, _, message = await admin.refused("CreateRateLimit", pb.CreateRateLimitRequest())
    assert (code, "requests or tokens" in message) == (grpc.StatusCode.INVALID_ARGUMENT, True)


async def test_every_method_is_served(admin: Admin) -> None:
    """None is left to the generated base, which serves nothing."""
    metadata = (("authorization", f"Bearer {ROOT}"),)
    for name, method in pb.METHODS.items():
        call = getattr(admin.stub, name)(getattr(pb, f"{name}Request")(), metadata=metadata, timeout=20)
        if method.server_streaming:
            with suppress(grpc.aio.AioRpcError):
                [_ async for _ in call]
        assert await call.code() in (OK, *REFUSALS), name


async def test_nobody_without_the_permission(admin: Admin) -> None:
    for method in pb.METHODS.values():
        call = admin.stream if method.server_streaming else admin
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(method.name, getattr(pb, f"{method.name}Request")(), "hw_nobody")
        assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED, method.name
        assert "admin." in (raised.value.details() or "")


async def test_tenants(admin: Admin) -> None:
    made = (await admin("CreateTenant", pb.CreateTenantRequest(id="new", display_name="New"))).tenant
    assert (made.id, made.display_name, made.state) == ("new", "New", pb.STATE_ACTIVE)
    listed = await admin("ListTenants", pb.ListTenantsRequest(page_size=2))
    assert [one.id for one in listed.tenants] == ["acme", "new"]
    rest = await admin("ListTenants", pb.ListTenantsRequest(page_size=2, page_token=listed.next_page_token))
    assert ([one.id for one in rest.tenants], rest.next_page_token) == (["other"], "")
    suspended = await admin("UpdateTenant", pb.UpdateTenantRequest(id="new", state=pb.STATE_SUSPENDED))
    assert suspended.tenant.state == pb.STATE_SUSPENDED
    assert (await admin("GetTenant", pb.GetTenantRequest(id="new"))).tenant.state == pb.STATE_SUSPENDED
    await admin("DeleteTenant", pb.DeleteTenantRequest(id="new"))
    code, reason, _ = await admin.refused("GetTenant", pb.GetTenantRequest(id="new"))
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "TENANT_NOT_FOUND")


async def test_a_key_from_its_making_to_its_end(admin: Admin) -> None:
    principal = await admin.account()
    made = await admin(
        "CreateApiKey", pb.CreateApiKeyRequest(principal=principal, name="a", scopes=["models.call:rag"])
    )
    assert made.secret.startswith(made.key.prefix)
    assert made.key.scopes == ["models.call:rag"]
    request = pb.RotateApiKeyRequest(id=made.key.id)
    request.overlap.FromSeconds(60)
    rotated = await admin("RotateApiKey", request)
    assert rotated.secret != made.secret
    old = (await admin("GetApiKey", pb.GetApiKeyRequest(id=made.key.id))).key
    assert old.replaced_by == rotated.key.id
    assert old.HasField("expire_time")
    assert (await admin.refused("RotateApiKey", request))[1] == "KEY_NOT_LIVE"
    revoked = await admin("RevokeApiKey", pb.RevokeApiKeyRequest(id=rotated.key.id))
    assert revoked.key.HasField("revoke_time")
    listed = await admin("ListApiKeys", pb.ListApiKeysRequest(principal=principal))
    assert {one.id for one in listed.keys} == {made.key.id, rotated.key.id}
    assert made.secret.encode() not in listed.SerializeToString()


async def test_nobody_gives_away_more_than_they_have(admin: Admin) -> None:
    principal = await admin.account()
    denied = grpc.StatusCode.PERMISSION_DENIED
    for method, request in (
        ("PutRole", pb.PutRoleRequest(name="all", permissions=["models.call:*"])),
        ("BindRole", pb.BindRoleRequest(role="operator", principal=principal)),
        ("CreateApiKey", pb.CreateApiKeyRequest(principal=principal, roles=["admin"])),
    ):
        code, reason, message = await admin.refused(method, request, "hw_admin")
        assert (code, reason) == (denied, "PERMISSION_DENIED"), method
        assert "to give" in message
    await admin("PutRole", pb.PutRoleRequest(name="rag", permissions=["models.call:rag"]), "hw_admin")
    await admin("BindRole", pb.BindRoleRequest(role="rag", principal=principal), "hw_admin")
    await admin("CreateApiKey", pb.CreateApiKeyRequest(principal=principal), "hw_admin")


async def test_a_key_of_somebody_mightier_is_not_to_be_had(admin: Admin) -> None:
    """Neither by making one for them, nor by rotating theirs; narrowed to what one may do oneself it is."""
    mighty = await admin.account("mighty")
    await admin("BindRole", pb.BindRoleRequest(role="operator", principal=mighty))
    key = (await admin("CreateApiKey", pb.CreateApiKeyRequest(principal=mighty))).key
    for method, request in (
        ("CreateApiKey", pb.CreateApiKeyRequest(principal=mighty)),
        ("RotateApiKey", pb.RotateApiKeyRequest(id=key.id)),
    ):
        assert (await admin.refused(method, request, "hw_admin"))[0] is grpc.StatusCode.PERMISSION_DENIED
    narrow = pb.CreateApiKeyRequest(principal=mighty, scopes=["models.call:rag"])
    await admin("CreateApiKey", narrow, "hw_admin")


async def test_another_tenants_things_are_not_there(admin: Admin) -> None:
    principal = await admin.account()
    key = (await admin("CreateApiKey", pb.CreateApiKeyRequest(principal=principal))).key
    project = (await admin("CreateProject", pb.CreateProjectRequest(name="search"))).project
    of_project: dict[str, Any] = {"scope": pb.Budget.SCOPE_PROJECT, "scope_id": project.id}
    unit: dict[str, Any] = {"period": pb.Budget.PERIOD_DAY, "unit": pb.Budget.UNIT_TOKENS}
    budget = (await admin("CreateBudget", pb.CreateBudgetRequest(**of_project, **unit, amount=5))).budget
    limit = (await admin("CreateRateLimit", pb.CreateRateLimitRequest(requests_per_minute=5))).limit
    assert (budget.tenant, limit.tenant) == ("acme", "acme")
    for method, request in (
        ("GetApiKey", pb.GetApiKeyRequest(id=key.id)),
        ("RotateApiKey", pb.RotateApiKeyRequest(id=key.id)),
        ("RevokeApiKey", pb.RevokeApiKeyRequest(id=key.id)),
        ("DeletePrincipal", pb.DeletePrincipalRequest(id=principal)),
        ("DeleteProject", pb.DeleteProjectRequest(id=project.id)),
        ("UpdateBudget", pb.UpdateBudgetRequest(id=budget.id, amount=9)),
        ("DeleteBudget", pb.DeleteBudgetRequest(id=budget.id)),
        ("UpdateRateLimit", pb.UpdateRateLimitRequest(id=limit.id)),
        ("DeleteRateLimit", pb.DeleteRateLimitRequest(id=limit.id)),
    ):
        assert (await admin.refused(method, request, "hw_other"))[0] is grpc.StatusCode.NOT_FOUND, method
    for method in ("ListApiKeys", "ListPrincipals", "ListProjects", "ListBudgets", "ListRateLimits"):
        request = getattr(pb, f"{method}Request")
        assert not (await admin(method, request(), "hw_other")).ListFields(), method
        code, _, message = await admin.refused(method, request(tenant="acme"), "hw_other")
        assert (code, "admin.tenants:read" in message) == (grpc.StatusCode.PERMISSION_DENIED, True)


async def test_what_is_for_operators_is_for_operators(admin: Admin) -> None:
    for method, request in (
        ("CreateRateLimit", pb.CreateRateLimitRequest(tenant="*")),
        ("CreateRateLimit", pb.CreateRateLimitRequest(together=True)),
        ("ListRateLimits", pb.ListRateLimitsRequest(every_tenant=True)),
        ("SumUsage", pb.SumUsageRequest(every_tenant=True)),
        ("ListAuditRecords", pb.ListAuditRecordsRequest(every_tenant=True)),
        ("VerifyAudit", pb.VerifyAuditRequest()),
    ):
        assert (await admin.refused(method, request, "hw_other"))[0] is grpc.StatusCode.PERMISSION_DENIED, method
    made = await admin("CreateRateLimit", pb.CreateRateLimitRequest(together=True, requests_per_minute=5))
    assert made.limit.tenant == ""
    assert (await admin.refused("DeleteRateLimit", pb.DeleteRateLimitRequest(id=made.limit.id), "hw_other"))[0] is (
        grpc.StatusCode.NOT_FOUND
    )


async def test_every_change_is_on_record_with_who_made_it(admin: Admin) -> None:
    principal = await admin.account("ci@example.com", display_name="CI")
    key = (await admin("CreateApiKey", pb.CreateApiKeyRequest(principal=principal, name="secret plan"))).key
    await admin.refused("CreateProject", pb.CreateProjectRequest(name=""))
    await admin("ListApiKeys", pb.ListApiKeysRequest())
    records = await admin.office.recorded()
    told = [(str(one["action"]).rpartition("/")[2], one["details"]) for one in records]
    assert told == [
        ("CreatePrincipal", {"kind": "KIND_SERVICE_ACCOUNT", "made": principal}),
        ("CreateApiKey", {"principal": principal, "made": key.id}),
    ]
    page = await admin("ListAuditRecords", pb.ListAuditRecordsRequest(page_size=1))
    assert (page.records[0].subject, page.records[0].key, page.records[0].address) == ("root", "key_root", "10.0.0.1")
    assert page.next_page_token == "1"
    report = await admin("VerifyAudit", pb.VerifyAuditRequest())
    assert (report.sound, report.records) == (True, 2)


async def test_no_change_is_made_off_the_record(admin: Admin) -> None:
    """Every method that declares to change something, but for the erasure, which records its steps itself, and an
    anchor, which is a signature and on record as every call is."""
    spec, tokens = "guards: []\n", pb.Budget.UNIT_TOKENS
    day: dict[str, Any] = {"period": pb.Budget.PERIOD_DAY, "unit": tokens}
    made: dict[str, str] = {}
    changes: list[tuple[str, Callable[[], Any]]] = [
        ("CreateTenant", lambda: pb.CreateTenantRequest(id="new")),
        ("UpdateTenant", lambda: pb.UpdateTenantRequest(id="new", state=pb.STATE_SUSPENDED)),
        ("DeleteTenant", lambda: pb.DeleteTenantRequest(id="new")),
        ("CreateProject", lambda: pb.CreateProjectRequest(name="search")),
        ("CreatePrincipal", lambda: pb.CreatePrincipalRequest(kind=pb.Principal.KIND_USER, name="ada")),
        ("UpdatePrincipal", lambda: pb.UpdatePrincipalRequest(id=made["CreatePrincipal"], state=pb.STATE_ACTIVE)),
        ("PutRole", lambda: pb.PutRoleRequest(name="rag", permissions=["models.call:rag"])),
        ("BindRole", lambda: pb.BindRoleRequest(role="rag", principal=made["CreatePrincipal"])),
        ("UnbindRole", lambda: pb.UnbindRoleRequest(role="rag", principal=made["CreatePrincipal"])),
        ("DeleteRole", lambda: pb.DeleteRoleRequest(name="rag")),
        ("CreateApiKey", lambda: pb.CreateApiKeyRequest(principal=made["CreatePrincipal"])),
        ("RotateApiKey", lambda: pb.RotateApiKeyRequest(id=made["CreateApiKey"])),
        ("RevokeApiKey", lambda: pb.RevokeApiKeyRequest(id=made["RotateApiKey"])),
        ("CreateBudget", lambda: pb.CreateBudgetRequest(scope=pb.Budget.SCOPE_TENANT, amount=9, **day)),
        ("UpdateBudget", lambda: pb.UpdateBudgetRequest(id=made["CreateBudget"], amount=8)),
        ("DeleteBudget", lambda: pb.DeleteBudgetRequest(id=made["CreateBudget"])),
        ("CreateRateLimit", lambda: pb.CreateRateLimitRequest(streams=9)),
        ("UpdateRateLimit", lambda: pb.UpdateRateLimitRequest(id=made["CreateRateLimit"], streams=8)),
        ("DeleteRateLimit", lambda: pb.DeleteRateLimitRequest(id=made["CreateRateLimit"])),
        ("PutGuardPolicy", lambda: pb.PutGuardPolicyRequest(spec=spec)),
        ("DeleteGuardPolicy", lambda: pb.DeleteGuardPolicyRequest()),
        ("PutCachePolicy", lambda: pb.PutCachePolicyRequest(spec="enabled: true")),
        ("DeleteCachePolicy", lambda: pb.DeleteCachePolicyRequest()),
        ("PurgeCache", lambda: pb.PurgeCacheRequest()),
        ("PutMcpServer", lambda: pb.PutMcpServerRequest(name="wiki", url="https://wiki.example/mcp")),
        ("DeleteMcpServer", lambda: pb.DeleteMcpServerRequest(name="wiki")),
        ("SetRetention", lambda: pb.SetRetentionRequest()),
        ("DeletePrincipal", lambda: pb.DeletePrincipalRequest(id=made["CreatePrincipal"])),
        ("DeleteProject", lambda: pb.DeleteProjectRequest(id=made["CreateProject"])),
    ]
    writing = {
        method.name
        for method in pb.METHODS.values()
        if method.GetOptions().idempotency_level != MethodOptions.NO_SIDE_EFFECTS
    }
    assert {name for name, _ in changes} == writing - {"EraseData", "AnchorAudit"}
    for name, request in changes:
        response = await admin(name, request())
        [made[name]] = [value.id for _, value in response.ListFields() if hasattr(value, "id")] or [""]
    recorded = await admin.office.recorded()
    assert [one["action"] for one in recorded] == [pb.path_of(name) for name, _ in changes]
    assert {one["decision"] for one in recorded} == {"allowed"}
    for name in ("CreateProject", "CreatePrincipal", "CreateApiKey", "RotateApiKey", "CreateBudget", "CreateRateLimit"):
        [details] = [one["details"] for one in recorded if one["action"] == pb.path_of(name)]
        assert isinstance(details, dict)
        assert details["made"] == made[name]


async def test_budgets_stand_where_they_stand(admin: Admin) -> None:
    unit: dict[str, Any] = {"period": pb.Budget.PERIOD_MONTH, "unit": pb.Budget.UNIT_MONEY}
    asked = pb.CreateBudgetRequest(scope=pb.Budget.SCOPE_TENANT, **unit, amount=10**9)
    made = (await admin("CreateBudget", asked)).budget
    assert (made.scope_id, made.spent, made.held) == ("acme", 0, 0)
    assert made.reset_time.ToDatetime().day == 1
    assert (await admin.refused("CreateBudget", asked))[0] is grpc.StatusCode.ALREADY_EXISTS
    await admin("UpdateBudget", pb.UpdateBudgetRequest(id=made.id, amount=5))
    [listed] = (await admin("ListBudgets", pb.ListBudgetsRequest())).budgets
    assert listed.amount == 5
    assert not (await admin("ListBudgetAlerts", pb.ListBudgetAlertsRequest())).alerts
    await admin("DeleteBudget", pb.DeleteBudgetRequest(id=made.id))
    assert not (await admin("ListBudgets", pb.ListBudgetsRequest())).budgets


async def test_usage_is_listed_summed_and_exported(admin: Admin) -> None:
    rows = [usage_of(PEOPLE[ROOT], Spent("rag", prompt_tokens=n, completion_tokens=1, cost_nanos=7)) for n in range(5)]
    rows.append(usage_of(PEOPLE["hw_other"], Spent("rag", prompt_tokens=100)))
    async with admin.office.database.write() as connection:
        await write_usage(connection, rows)
    page = await admin("ListUsage", pb.ListUsageRequest(page_size=4))
    rest = await admin("ListUsage", pb.ListUsageRequest(page_size=4, page_token=page.next_page_token))
    assert (len(page.records), len(rest.records), rest.next_page_token) == (4, 1, "")
    [one] = (await admin("SumUsage", pb.SumUsageRequest(by=["agent"]))).sums
    assert (one.agent, one.calls, one.prompt_tokens, one.completion_tokens, one.cost_nanos) == ("rag", 5, 10, 5, 35)
    both = (await admin("SumUsage", pb.SumUsageRequest(every_tenant=True, by=["tenant"]))).sums
    assert [(one.tenant, one.prompt_tokens) for one in both] == [("acme", 10), ("other", 100)]
    pieces = await admin.stream("ExportUsage", pb.ExportUsageRequest())
    assert {piece.content_type for piece in pieces} == {"text/csv; charset=utf-8"}
    assert len(b"".join(piece.data for piece in pieces).splitlines()) == 6
    assert (await admin.refused("SumUsage", pb.SumUsageRequest(by=["name"])))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_policies_are_checked_before_they_are_set(admin: Admin) -> None:
    good = "guards:\n- {guard: length, characters: 100}\n"
    bad = await admin.refused("PutGuardPolicy", pb.PutGuardPolicyRequest(spec="guards: [{guard: nothing}]"))
    assert bad[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert (await admin.refused("PutGuardPolicy", pb.PutGuardPolicyRequest()))[0] is grpc.StatusCode.INVALID_ARGUMENT
    await admin("PutGuardPolicy", pb.PutGuardPolicyRequest(spec=good, dry_run=True))
    assert not (await admin("ListGuardPolicies", pb.ListGuardPoliciesRequest())).policies
    for agent in ("", "analyst"):
        await admin("PutGuardPolicy", pb.PutGuardPolicyRequest(spec=good, agent=agent))
    page = await admin("ListGuardPolicies", pb.ListGuardPoliciesRequest(page_size=1))
    assert ([one.agent for one in page.policies], page.next_page_token) == ([""], "1")
    await admin("DeleteGuardPolicy", pb.DeleteGuardPolicyRequest(agent="analyst"))
    code, reason, _ = await admin.refused("DeleteGuardPolicy", pb.DeleteGuardPolicyRequest(agent="analyst"))
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "GUARD_POLICY_NOT_FOUND")
    actions = [str(one["action"]).rpartition("/")[2] for one in await admin.office.recorded()]
    assert actions.count("PutGuardPolicy") == 3


async def test_data_is_exported_and_erased(admin: Admin) -> None:
    await admin.account("ada@example.com")
    whose: dict[str, Any] = {"subject": "ada@example.com"}
    [piece] = await admin.stream("ExportData", pb.ExportDataRequest(**whose))
    assert b'"ada@example.com"' in piece.data
    with pytest.raises(grpc.aio.AioRpcError, match="confirm"):
        await admin.stream("EraseData", pb.EraseDataRequest(**whose))
    for unclear in ({}, {**whose, "everything": True}):
        with pytest.raises(grpc.aio.AioRpcError, match="say whose"):
            await admin.stream("EraseData", pb.EraseDataRequest(**unclear, confirm=True))
    steps = await admin.stream("EraseData", pb.EraseDataRequest(**whose, confirm=True))
    assert [(one.kind, one.erased) for one in steps if one.kind == "principals"] == [("principals", 1)]
    assert [one.done for one in steps][-1] is True
    assert not await admin.stream("ExportData", pb.ExportDataRequest(**whose))
    assert "ada@example.com" not in str(await admin.office.recorded())


async def test_retention_is_set_and_on_record(admin: Admin) -> None:
    request = pb.SetRetentionRequest(keep_content=True, days={"runs": 30})
    assert (await admin("SetRetention", request)).retention.days == {"runs": 30}
    found = (await admin("GetRetention", pb.GetRetentionRequest())).retention
    assert (found.keep_content, found.days) == (True, {"runs": 30})
    [record] = await admin.office.recorded()
    assert record["details"] == {"keep_content": "True", "days": "runs=30"}
    wrong = pb.SetRetentionRequest(days={"letters": 1})
    assert (await admin.refused("SetRetention", wrong))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_this_replica_has_followed_a_change_when_it_answers(admin: Admin) -> None:
    seen = asyncio.Event()

    async def reload() -> None:
        seen.set()

    admin.office.changes.follow("identity", reload)
    await admin.office.changes.look()
    seen.clear()
    await admin.account()
    assert seen.is_set()


MALFORMED: list[tuple[str, Any]] = [
    ("CreateProject", pb.CreateProjectRequest(name="a\x00b")),
    ("CreateProject", pb.CreateProjectRequest(tenant="no\x00ne", name="a")),
    ("PutRole", pb.PutRoleRequest(name="a", permissions=["models.call:a\x00"])),
    ("ListTenants", pb.ListTenantsRequest(page_token="\x00")),
    ("ListTenants", pb.ListTenantsRequest(page_size=1001)),
    ("ListTenants", pb.ListTenantsRequest(page_size=-1)),
    ("CreateTenant", pb.CreateTenantRequest(id="No Good")),
    ("UpdateTenant", pb.UpdateTenantRequest(id="acme")),
    ("CreatePrincipal", pb.CreatePrincipalRequest(name="x")),
    ("CreateBudget", pb.CreateBudgetRequest(amount=1)),
    ("SumUsage", pb.SumUsageRequest(page_token="-1")),
    ("SumUsage", pb.SumUsageRequest(page_token="٣")),
    ("ListAuditRecords", pb.ListAuditRecordsRequest(page_token="x")),
    ("VerifyAudit", pb.VerifyAuditRequest(after=-1)),
    ("PutRole", pb.PutRoleRequest(name="a", permissions=["what"])),
    ("CreateRateLimit", pb.CreateRateLimitRequest(requests_per_minute=-1)),
    ("CreateRateLimit", pb.CreateRateLimitRequest(requests_per_minute=2**62)),
    ("CreateBudget", pb.CreateBudgetRequest(scope=pb.Budget.SCOPE_TENANT, period=pb.Budget.PERIOD_DAY,
                                            unit=pb.Budget.UNIT_TOKENS, amount=2**63 - 1)),
]  # fmt: skip


async def test_what_is_malformed_is_refused(admin: Admin) -> None:
    for method, request in MALFORMED:
        code, _, message = await admin.refused(method, request)
        assert code is grpc.StatusCode.INVALID_ARGUMENT, (method, request, message)
