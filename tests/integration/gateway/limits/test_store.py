"""Rate limits in the database, and how replicas follow them."""

import pytest

from gateway.limits.errors import LimitExists, LimitNotFound
from gateway.limits.model import Rule
from gateway.limits.service import RuleBook, default_rule
from gateway.limits.store import KIND, LimitStore
from services.runtime.errors import InvalidArgument
from services.runtime.identity import Identity
from services.runtime.records.changes import Changes
from services.runtime.records.database import Database


async def test_rules_are_made_changed_followed_and_deleted(database: Database) -> None:
    store, changes = LimitStore(database), Changes(database)
    book = RuleBook(default_rule(0, 0, 0))
    changes.follow(KIND, lambda: book.reload(store))
    await changes.look()
    who = Identity("acme", "ann")
    assert book.plan(who, "rag") == ()

    made = await store.create(Rule("", tenant="acme", requests=5))
    await changes.look()
    assert [one.rule for one in book.plan(who, "rag")] == [made]
    with pytest.raises(LimitExists):
        await store.create(Rule("", tenant="acme", tokens=5))
    with pytest.raises(InvalidArgument):
        await store.create(Rule("", tenant="acme", model="rag", tokens=-5))

    changed = await store.change(made.id, 0, 7, 1)
    await changes.look()
    assert [one.rule for one in book.plan(who, "rag")] == [changed] == [await store.get(made.id)]
    assert await store.all("other") == []

    await store.delete(made.id)
    await changes.look()
    assert book.plan(who, "rag") == ()
    for missing in (store.get(made.id), store.delete(made.id), store.change(made.id, 1, 1, 1)):
        with pytest.raises(LimitNotFound):
            await missing
