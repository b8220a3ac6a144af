"""first

Databases that were made before there were migrations have these tables, some without the later columns.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("create_time", sa.Float(), nullable=False),
        sa.Column("delete_time", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "name", "version"),
        if_not_exists=True,
    )
    op.create_table(
        "orchestrator_events",
        sa.Column("run_id", sa.String(length=192), nullable=False),
        sa.Column("first", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "first"),
        sqlite_with_rowid=False,
        if_not_exists=True,
    )
    op.create_table(
        "orchestrator_messages",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("subject", sa.String(length=256), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("tenant", "session_id", "number"),
        if_not_exists=True,
    )
    op.create_table(
        "orchestrator_replicas",
        sa.Column("incarnation", sa.String(length=192), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("beat", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("incarnation"),
        if_not_exists=True,
    )
    op.create_table(
        "orchestrator_runs",
        sa.Column("id", sa.String(length=192), nullable=False),
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("owner", sa.String(length=192), nullable=False),
        sa.Column("replica", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("agent_version", sa.Integer(), nullable=False),
        sa.Column("collection", sa.String(length=128), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("finish_reason", sa.Integer(), nullable=True),
        sa.Column("last_sequence", sa.Integer(), nullable=False),
        sa.Column("create_time", sa.Float(precision=53), nullable=False),
        sa.Column("end_time", sa.Float(precision=53), nullable=True),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("completion_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_tokens", sa.Integer(), nullable=False),
        sa.Column("cost_nanos", sa.BigInteger(), nullable=False),
        sa.Column("pending", sa.Text(), nullable=False),
        sa.Column("detached", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(precision=53), nullable=False),
        sa.Column("expires", sa.Float(precision=53), nullable=True),
        sa.Column("ask", sa.LargeBinary(), nullable=True),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("subject", sa.String(length=256), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        if_not_exists=True,
    )
    op.create_index("orchestrator_runs_by_owner", "orchestrator_runs", ["owner", "state"], if_not_exists=True)
    op.create_index(
        "orchestrator_runs_by_session", "orchestrator_runs", ["tenant", "session_id", "create_time"], if_not_exists=True
    )
    op.create_index(
        "orchestrator_runs_by_tenant", "orchestrator_runs", ["tenant", "create_time", "id"], if_not_exists=True
    )
    op.create_table(
        "orchestrator_sessions",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=192), nullable=True),
        sa.Column("create_time", sa.Float(precision=53), nullable=False),
        sa.Column("update_time", sa.Float(precision=53), nullable=False),
        sa.Column("message_count", sa.Integer(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("summarised", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
        if_not_exists=True,
    )
    op.create_index(
        "orchestrator_sessions_by_time", "orchestrator_sessions", ["tenant", "update_time", "id"], if_not_exists=True
    )
    for table in ("orchestrator_runs", "orchestrator_messages"):
        if "subject" not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}:
            op.add_column(table, sa.Column("subject", sa.String(length=256), server_default="", nullable=False))
