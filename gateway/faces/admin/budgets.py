"""BudgetService."""

from headworks.gateway.v1 import budget_pb2
from headworks.gateway.v1 import budget_service_pb2 as pb
from headworks.gateway.v1 import budget_service_pb2_grpc as pb_grpc

from gateway.budgets.errors import BudgetNotFound
from gateway.budgets.model import Budget
from gateway.budgets.store import BudgetStore
from gateway.faces.admin import convert
from gateway.faces.admin.calls import AdminCalls
from gateway.faces.admin.fields import next_token, page_size
from services.runtime.interceptors.pipeline import Context


class BudgetServicer(pb_grpc.BudgetServiceServicer):
    def __init__(self, calls: AdminCalls) -> None:
        self._calls = calls

    async def CreateBudget(self, request: pb.CreateBudgetRequest, context: Context) -> pb.CreateBudgetResponse:
        async with self._calls.change(request, context) as call:
            budgets = BudgetStore(call.database, call.new_id)
            budget = await budgets.create(
                await call.known_tenant(request.tenant),
                convert.scope(request.scope),
                request.scope_id,
                convert.period(request.period),
                convert.unit(request.unit),
                request.amount,
            )
            usage = await _usage(budgets, budget)
        return pb.CreateBudgetResponse(budget=usage)

    async def ListBudgets(self, request: pb.ListBudgetsRequest, context: Context) -> pb.ListBudgetsResponse:
        call, size = self._calls.begin(request, context), page_size(request.page_size)
        store = BudgetStore(call.database)
        budgets = await store.all(call.tenant(request.tenant), size, request.page_token)
        usage = await store.usage(budgets)
        token = next_token(budgets, size)
        return pb.ListBudgetsResponse(budgets=map(convert.budget, usage), next_page_token=token)

    async def UpdateBudget(self, request: pb.UpdateBudgetRequest, context: Context) -> pb.UpdateBudgetResponse:
        async with self._calls.change(request, context) as call:
            budgets = BudgetStore(call.database)
            await _check_owner(budgets, request.id, call.tenant(request.tenant))
            usage = await _usage(budgets, await budgets.change(request.id, request.amount))
        return pb.UpdateBudgetResponse(budget=usage)

    async def DeleteBudget(self, request: pb.DeleteBudgetRequest, context: Context) -> pb.DeleteBudgetResponse:
        async with self._calls.change(request, context) as call:
            budgets = BudgetStore(call.database)
            await _check_owner(budgets, request.id, call.tenant(request.tenant))
            await budgets.delete(request.id)
        return pb.DeleteBudgetResponse()

    async def ListBudgetAlerts(
        self, request: pb.ListBudgetAlertsRequest, context: Context
    ) -> pb.ListBudgetAlertsResponse:
        call = self._calls.begin(request, context)
        alerts = await BudgetStore(call.database).alerts(call.tenant(request.tenant), page_size(request.page_size))
        return pb.ListBudgetAlertsResponse(alerts=map(convert.alert, alerts))


async def _check_owner(budgets: BudgetStore, budget_id: str, tenant: str) -> None:
    """Raises BudgetNotFound for another tenant's, as for one that there is not."""
    if (await budgets.get(budget_id)).tenant != tenant:
        raise BudgetNotFound(budget_id)


async def _usage(budgets: BudgetStore, budget: Budget) -> budget_pb2.Budget:
    [usage] = await budgets.usage([budget])
    return convert.budget(usage)
