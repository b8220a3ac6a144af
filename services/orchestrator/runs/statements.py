"""What is written of runs: statements that are compiled once and executed for all runs of a transaction together."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import BindParameter, Column, Integer, bindparam, exists, insert, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.schema.tables import EVENTS, MESSAGES, REPLICAS, RUNS, SESSIONS
from services.runtime.records.lease import Leases
from services.runtime.records.many import Many, Rows, Step, execute_all
from services.runtime.records.upsert import insert_new
from services.runtime.records.writer import NothingWritten, ScriptSink

Row = dict[str, object]
# Rows for each statement, which are executed in the order of ORDER.
Batch = dict[str, list[Row]]

_LIVE = (
    "state", "finish_reason", "last_sequence", "end_time", "prompt_tokens", "completion_tokens", "cached_tokens",
    "cost_nanos", "reasoning_tokens", "pending", "detached", "seconds",
)  # fmt: skip
INSERT_RUN, INSERT_EVENTS, UPDATE_RUN, END_RUN = "insert run", "insert events", "update run", "end run"
ADD_MESSAGES, LEAVE_SESSION = "add messages", "leave session"
LEASES = Leases(REPLICAS)
ORDER = (INSERT_RUN, INSERT_EVENTS, UPDATE_RUN, END_RUN, ADD_MESSAGES, LEAVE_SESSION)


class Fenced(NothingWritten):
    """This replica was given up by the others, who have taken its runs."""


@dataclass(frozen=True, slots=True)
class RunRows:
    """What one run has to write, in the name of an incarnation of its replica."""

    batch: Batch
    incarnation: str


class RunSink(ScriptSink[RunRows]):
    """Writes runs. The same rows may be written again: they are there already, and a session that was left has their
    messages. That an incarnation was not given up holds until the transaction ends: whoever gives it up waits for it.
    """

    def steps(self, items: Sequence[RunRows]) -> Sequence[Step]:
        by_name = {name: [row for item in items for row in item.batch.get(name, ())] for name in ORDER}
        steps: list[Step] = [(_STATEMENTS[name], rows) for name, rows in by_name.items() if rows]
        incarnations = {item.incarnation for item in items}
        return steps + [(LEASES.fence, ({"lease": incarnation},)) for incarnation in incarnations]

    def check(self, found: list[Rows]) -> None:
        """Raises Fenced for an incarnation that was given up."""
        if not all(found):
            raise Fenced

    async def write(self, connection: AsyncConnection, items: Sequence[RunRows]) -> None:
        await execute_all(connection, self.steps(items), self.check)


def _param(column: "Column[object]", name: str = "") -> BindParameter[object]:
    return bindparam(name or column.name, type_=column.type)


_live = {name: _param(RUNS.c[name]) for name in _LIVE}
_this_run = RUNS.c.id == bindparam("of_run")
_this_session = (SESSIONS.c.tenant == bindparam("of_tenant")) & (SESSIONS.c.id == bindparam("session"))
_held = exists().where(
    SESSIONS.c.tenant == _param(MESSAGES.c.tenant),
    SESSIONS.c.id == _param(MESSAGES.c.session_id),
    SESSIONS.c.run_id == _param(SESSIONS.c.run_id, "of_run"),
)
_STATEMENTS = {
    INSERT_RUN: Many(insert_new(RUNS)),
    INSERT_EVENTS: Many(insert_new(EVENTS)),
    UPDATE_RUN: Many(update(RUNS).where(_this_run).values(**_live)),
    END_RUN: Many(update(RUNS).where(_this_run).values(**_live, refresh_token=null())),
    ADD_MESSAGES: Many(
        insert(MESSAGES).from_select(
            [column.name for column in MESSAGES.c], select(*(_param(column) for column in MESSAGES.c)).where(_held)
        )
    ),
    LEAVE_SESSION: Many(
        update(SESSIONS)
        .where(_this_session, SESSIONS.c.run_id == bindparam("of_run"))
        .values(
            run_id=null(),
            update_time=bindparam("now"),
            message_count=SESSIONS.c.message_count + bindparam("added", type_=Integer),
        )
    ),
}
