"""What the writer executes, as plain SQL that is compiled once: a commit is a few calls into the driver."""

from sqlalchemy import BindParameter, Engine, Integer, bindparam, insert, null, select, update
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.sql import ClauseElement

from services.orchestrator.runs.tables import EVENTS, MESSAGES, REPLICAS, RUNS, SESSIONS

Row = dict[str, object]
# Rows for each statement, which are executed in the order of ORDER.
Batch = dict[str, list[Row]]

_LIVE = (
    "state", "finish_reason", "last_sequence", "end_time", "prompt_tokens", "completion_tokens", "cached_tokens",
    "cost_nanos", "pending", "detached", "seconds",
)  # fmt: skip
INSERT_RUN, INSERT_EVENTS, UPDATE_RUN, END_RUN = "insert run", "insert events", "update run", "end run"
ADD_MESSAGES, LEAVE_SESSION = "add messages", "leave session"
ORDER = (INSERT_RUN, INSERT_EVENTS, UPDATE_RUN, END_RUN, ADD_MESSAGES, LEAVE_SESSION)


class Statements:
    """The statements in the words of one engine."""

    def __init__(self, engine: Engine) -> None:
        live: dict[str, BindParameter[object]] = {name: bindparam(name) for name in _LIVE}
        this_run = RUNS.c.id == bindparam("of_run")
        this_session = (SESSIONS.c.tenant == bindparam("of_tenant")) & (SESSIONS.c.id == bindparam("session"))
        made: dict[str, ClauseElement] = {
            INSERT_RUN: insert(RUNS),
            INSERT_EVENTS: insert(EVENTS),
            UPDATE_RUN: update(RUNS).where(this_run).values(**live),
            END_RUN: update(RUNS).where(this_run).values(**live, refresh_token=null()),
            ADD_MESSAGES: insert(MESSAGES),
            LEAVE_SESSION: update(SESSIONS)
            .where(this_session, SESSIONS.c.run_id == bindparam("of_run"))
            .values(
                run_id=null(),
                update_time=bindparam("now"),
                message_count=SESSIONS.c.message_count + bindparam("added", type_=Integer),
            ),
        }
        self._sql = {name: str(statement.compile(dialect=engine.dialect)) for name, statement in made.items()}
        alive = select(REPLICAS.c.beat).where(REPLICAS.c.incarnation == bindparam("me")).with_for_update(read=True)
        self._alive = str(alive.compile(dialect=engine.dialect))

    def execute(self, cursor: DBAPICursor, batch: Batch, incarnation: str) -> bool:
        """Write a batch in the cursor's transaction; False where the incarnation was given up. That it was not holds
        until the transaction ends: whoever gives it up waits for that."""
        for name in ORDER:
            rows = batch.get(name)
            if rows:
                cursor.executemany(self._sql[name], rows)
        cursor.execute(self._alive, {"me": incarnation})
        return cursor.fetchone() is not None


# Where each statement's rows name their run.
_RUN = {
    INSERT_RUN: "id", INSERT_EVENTS: "run_id", UPDATE_RUN: "of_run", END_RUN: "of_run", ADD_MESSAGES: "of_run",
    LEAVE_SESSION: "of_run",
}  # fmt: skip


def only(batch: Batch, run_id: str) -> Batch:
    """The rows of one run."""
    return {name: [row for row in rows if row[_RUN[name]] == run_id] for name, rows in batch.items()}
