"""The budgets in memory, by those whose use they count."""

from collections.abc import Iterable, Sequence

from gateway.budgets.budget import Budget, Scope
from gateway.budgets.store import BudgetStore
from services.runtime.identity import Identity

Name = tuple[str, Scope, str]


class BudgetBook:
    """All budgets there are, as the database last had them."""

    def __init__(self) -> None:
        self._by_name: dict[Name, Sequence[Budget]] = {}
        self.by_id: dict[str, Budget] = {}

    async def reload(self, store: BudgetStore) -> None:
        """Read them anew. Raises RecordsUnavailable, and leaves those that there were."""
        self.set(await store.all())

    def set(self, budgets: Iterable[Budget]) -> None:
        by_name: dict[Name, list[Budget]] = {}
        for budget in budgets:
            by_name.setdefault((budget.tenant, budget.scope, budget.scope_id), []).append(budget)
        self._by_name = dict(by_name)
        self.by_id = {budget.id: budget for found in by_name.values() for budget in found}

    def counting(self, who: Identity, agent: str) -> Sequence[Budget]:
        """Those that count a call of this caller to this agent or model; those of the smallest scope first."""
        if not self._by_name:
            return ()
        tenant, names = who.tenant, self._by_name
        return (
            *names.get((tenant, Scope.KEY, who.key), ()),
            *names.get((tenant, Scope.AGENT, agent), ()),
            *names.get((tenant, Scope.PROJECT, who.project), ()),
            *names.get((tenant, Scope.TENANT, tenant), ()),
        )
