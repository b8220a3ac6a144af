"""Read-only SQL on a configured database."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from services.orchestrator.domain.tool import Declaration, Reason, ToolContext, ToolFailed
from services.orchestrator.tools.builtin.schemas import obj, text
from services.orchestrator.tools.databases import QueryRefused, QueryTimeout, ReadOnlyDatabase, Rows
from services.runtime.fairness import FairLimit

MAX_QUERY = 10_000
# Queries of one database at once, and those that may wait.
AT_ONCE, QUEUE = 4, 256


class Sql:
    """Asks one database. The result is {"columns": […], "rows": [[…]], "more": …}; `more` says that rows were left
    out. One that is too long for the model has less rows, and says how many in `left_out`."""

    idempotent = True

    def __init__(self, name: str, database: ReadOnlyDatabase, description: str, max_rows: int, seconds: float) -> None:
        """`description` of the tables. `name` of the tool."""
        self._database = database
        self._max_rows = max_rows
        self._seconds = seconds
        self.places = FairLimit(AT_ONCE, QUEUE, spare=True)
        self.declaration = Declaration(
            name,
            f"Runs one read-only SQL query ({database.dialect}) and gives its rows as JSON, {max_rows} at most.\n"
            f"The tables:\n{description}",
            obj({"query": text("One SELECT statement.", MAX_QUERY)}, "query"),
            json=True,
        )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        return _json(await self._ask(arguments["query"]))

    async def _ask(self, query: str) -> Rows:
        asking = self._database.ask(query, self._max_rows, self._seconds)
        running = asyncio.ensure_future(asyncio.to_thread(asking.run))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            asking.stop()
            running.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise
        except QueryTimeout as error:
            raise ToolFailed(f"the query took longer than {self._seconds:g} seconds", reason=Reason.TIMEOUT) from error
        except QueryRefused as error:
            raise ToolFailed(str(error), reason=error.reason) from error


def _json(rows: Rows) -> str:
    told = {"columns": rows.columns, "rows": rows.rows, "more": rows.more}
    return orjson.dumps(told, default=_shown, option=orjson.OPT_NON_STR_KEYS).decode()


def _shown(value: Any) -> Any:
    return f"<{len(value)} bytes>" if isinstance(value, (bytes, memoryview)) else str(value)
