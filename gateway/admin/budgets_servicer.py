"""The methods of budgets."""

from headworks.gateway.v1 import admin_pb2
from headworks.gateway.v1 import admin_service_pb2 as pb

from gateway.admin import convert_amounts as convert
from gateway.admin.asking import READ, WRITE, tenant
from gateway.admin.convert import page_size
from gateway.budgets.budget import Budget
from gateway.budgets.errors import BudgetNotFound
from gateway.budgets.store import BudgetStore
from services.runtime.interceptors.pipeline import Context


class Budgets:
    def __init__(self, store: BudgetStore) -> None:
        self._store = store

    async def CreateBudget(self, request: pb.CreateBudgetRequest, context: Context) -> pb.CreateBudgetResponse:
        made = await self._store.create(
            tenant(request.tenant, WRITE),
            convert.scope(request.scope),
            request.scope_id,
            convert.period(request.period),
            convert.unit(request.unit),
            request.amount,
        )
        return pb.CreateBudgetResponse(budget=await self._standing(made))

    async def ListBudgets(self, request: pb.ListBudgetsRequest, context: Context) -> pb.ListBudgetsResponse:
        size = page_size(request.page_size)
        found = await self._store.all(tenant(request.tenant, READ), size, request.page_token)
        standing = await self._store.standing(found)
        token = found[-1].id if len(found) == size else ""
        return pb.ListBudgetsResponse(budgets=map(convert.budget, standing), next_page_token=token)

    async def UpdateBudget(self, request: pb.UpdateBudgetRequest, context: Context) -> pb.UpdateBudgetResponse:
        await self._known(request.tenant, request.id)
        changed = await self._store.change(request.id, request.amount)
        return pb.UpdateBudgetResponse(budget=await self._standing(changed))

    async def DeleteBudget(self, request: pb.DeleteBudgetRequest, context: Context) -> pb.DeleteBudgetResponse:
        await self._known(request.tenant, request.id)
        await self._store.delete(request.id)
        return pb.DeleteBudgetResponse()

    async def ListBudgetAlerts(
        self, request: pb.ListBudgetAlertsRequest, context: Context
    ) -> pb.ListBudgetAlertsResponse:
        found = await self._store.alerts(tenant(request.tenant, READ), page_size(request.page_size))
        return pb.ListBudgetAlertsResponse(alerts=map(convert.alert, found))

    async def _known(self, asked: str, id_: str) -> None:
        """Raises BudgetNotFound for another tenant's, as for one that there is not."""
        if (await self._store.get(id_)).tenant != tenant(asked, WRITE):
            raise BudgetNotFound(id_)

    async def _standing(self, budget: Budget) -> admin_pb2.Budget:
        [standing] = await self._store.standing([budget])
        return convert.budget(standing)
