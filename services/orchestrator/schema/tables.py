"""The tables in which runs, their events, the replicas, the sessions, the agents and the prompts are kept."""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text

from services.runtime.records.tables import meshes, revisions

METADATA = MetaData()

# `owner` is the incarnation of the replica that executes the run, `replica` its name. `ask` is what was asked, and
# `refresh_token` what its identity is renewed by, which the gateway alone can read, kept while the run is under way.
# `seconds` is the time that it had left when the row was last written, `expires` when its identity is renewed no more,
# in seconds since the epoch. `subject` is who asked.
RUNS = Table(
    "orchestrator_runs",
    METADATA,
    Column("id", String(192), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("owner", String(192), nullable=False),
    Column("replica", String(128), nullable=False),
    Column("model", String(128), nullable=False),
    Column("agent_version", Integer, nullable=False),
    Column("collection", String(128), nullable=False),
    Column("session_id", String(64), nullable=False),
    Column("state", Integer, nullable=False),
    Column("finish_reason", Integer),
    Column("last_sequence", Integer, nullable=False),
    Column("create_time", Float(53), nullable=False),
    Column("end_time", Float(53)),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("cost_nanos", BigInteger, nullable=False),
    Column("reasoning_tokens", Integer, nullable=False, server_default="0"),
    Column("pending", Text, nullable=False),
    Column("detached", Integer, nullable=False),
    Column("seconds", Float(53), nullable=False),
    Column("expires", Float(53)),
    Column("ask", LargeBinary),
    Column("token", Text, key="refresh_token"),
    Column("subject", String(256), nullable=False, server_default=""),
    Index("orchestrator_runs_by_tenant", "tenant", "create_time", "id"),
    Index("orchestrator_runs_by_owner", "owner", "state"),
    Index("orchestrator_runs_by_session", "tenant", "session_id", "create_time"),
    Index("orchestrator_runs_by_subject", "tenant", "subject", "create_time", "id"),
)

# Events that were stored together: `first` to `last`, as `codec.encode` writes them.
EVENTS = Table(
    "orchestrator_events",
    METADATA,
    Column("run_id", String(192), primary_key=True),
    Column("first", Integer, primary_key=True, autoincrement=False),
    Column("last", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# The leases of the replicas that live, by incarnation. A replica holds its own, and may not write once it was revoked:
# see RunSink.
REPLICAS = Table(
    "orchestrator_replicas",
    METADATA,
    Column("incarnation", String(192), key="name", primary_key=True),
    Column("name", String(128), key="holder", nullable=False),
    Column("beat", Integer, nullable=False),
)

# Whose database it is. Who joins the replicas locks it, so that they do so one after the other.
MESH = meshes("orchestrator_mesh", METADATA)

# By which replicas learn that agents or prompts changed.
REVISIONS = revisions("orchestrator_revisions", METADATA)

# `subject` is whose it is. `run_id`: the run of the session that is under way. `summary` covers the first `summarised`
# messages.
SESSIONS = Table(
    "orchestrator_sessions",
    METADATA,
    Column("tenant", String(128), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("run_id", String(192)),
    Column("create_time", Float(53), nullable=False),
    Column("update_time", Float(53), nullable=False),
    Column("message_count", Integer, nullable=False),
    Column("summary", Text, nullable=False),
    Column("summarised", Integer, nullable=False),
    Column("subject", String(256), nullable=False, server_default=""),
    Index("orchestrator_sessions_by_time", "tenant", "update_time", "id"),
)

MESSAGES = Table(
    "orchestrator_messages",
    METADATA,
    Column("tenant", String(128), primary_key=True),
    Column("session_id", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
    Column("subject", String(256), nullable=False, server_default=""),
)

# Agents' specs. A version that was deleted keeps its number, so that a run's record never names another one.
AGENTS = Table(
    "agents",
    METADATA,
    Column("tenant", String(128), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("spec", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("create_time", Float, nullable=False),
    Column("delete_time", Float),
)

# Prompts: templates by name and version, apart from agents.
PROMPTS = Table(
    "orchestrator_prompts",
    METADATA,
    Column("tenant", String(128), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("spec", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("create_time", Float(53), nullable=False),
    Column("delete_time", Float(53)),
)
