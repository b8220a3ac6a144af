"""A settlement is written once, however often it is tried."""

from gateway.budgets.alerts import AlertBook
from gateway.budgets.lease import BudgetLease, begin_reservation
from gateway.budgets.ledger import Ledger
from gateway.budgets.model import Period, Scope, Unit
from gateway.budgets.settlement import Charge, Settlement, SettlementSink
from gateway.budgets.store import BudgetStore
from gateway.usage.record import Spent, usage_of
from gateway.usage.store import UsageFilter, UsageStore
from services.runtime.records.database import Database
from tests.integration.gateway.budgets.replicas import WHO


async def test_what_was_committed_without_an_answer_is_not_written_again(database: Database) -> None:
    ledger = Ledger(database, "me", 10.0)
    budget = await BudgetStore(database).create("acme", Scope.TENANT, "", Period.MONTH, Unit.TOKENS, 1_000)
    lease = BudgetLease(budget, "2026-01")
    assert (await ledger.ask(lease, 100)).given >= 100
    items = [_settlement(lease, tokens) for tokens in (10, 20)]
    sink = SettlementSink(ledger, AlertBook())
    async with database.write() as connection:
        await sink.write(connection, items)
    items.append(_settlement(lease, 5))
    async with database.write() as connection:  # as after a connection that broke while it committed
        await sink.write(connection, items)
    for item in items:
        item.committed()
    assert (await UsageStore(database).total(UsageFilter())).prompt_tokens == 35
    async with database.read() as connection:
        spent = (await connection.exec_driver_sql("SELECT sum(spent) FROM budget_spends")).scalar_one()
    assert spent == 35
    assert (lease.used, lease.pending, lease.owed) == (0, 5, 5)


def _settlement(lease: BudgetLease, tokens: int) -> Settlement:
    held = begin_reservation(lease)
    taken = held.settle(tokens)
    return Settlement(usage_of(WHO, Spent("rag", prompt_tokens=tokens)), [Charge(lease, tokens, taken, held.used)])
