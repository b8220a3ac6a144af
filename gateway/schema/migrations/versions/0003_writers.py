"""What each gateway writes apart from the others: audit chains, sums of usage, what budgets have spent

It is not undone: several chains do not become one.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

CHAINED = ("audit_records", "audit_content", "audit_prunings")


def upgrade() -> None:
    """What there is becomes chain 1, and each checkpoint of it one of a single chain."""
    for table in CHAINED:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column("chain", sa.Integer(), nullable=False, server_default="1"))
            batch_op.drop_constraint(f"pk_{table}", type_="primary")
            batch_op.create_primary_key(f"pk_{table}", ["chain", "sequence"])
    with op.batch_alter_table("audit_head", schema=None) as batch_op:
        batch_op.add_column(sa.Column("holder", sa.String(length=192), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("expires", sa.Float(precision=53), nullable=False, server_default="0"))
    _checkpoints()
    with op.batch_alter_table("usage_daily", schema=None) as batch_op:
        batch_op.add_column(sa.Column("shard", sa.Integer(), nullable=False, server_default="0"))
        batch_op.drop_constraint("pk_usage_daily", type_="primary")
        key = ["day", "tenant", "project", "key", "agent", "model", "shard"]
        batch_op.create_primary_key("pk_usage_daily", key)
    op.create_table(
        "usage_open",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("time", sa.Float(precision=53), nullable=False),
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=192), nullable=False),
        sa.Column("subject", sa.String(length=192), nullable=False),
        sa.Column("agent", sa.String(length=128), nullable=False),
        sa.Column("agent_version", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("run_id", sa.String(length=192), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_nanos", sa.BigInteger(), nullable=False),
        sa.Column("finish_reason", sa.String(length=64), nullable=False),
        sa.Column("seconds", sa.Float(precision=53), nullable=False),
        sa.Column("expires", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_open")),
    )
    with op.batch_alter_table("usage_open", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_usage_open_expires"), ["expires"], unique=False)
    op.create_table(
        "budget_spends",
        sa.Column("budget", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("holder", sa.String(length=192), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("budget", "period", "holder", name=op.f("pk_budget_spends")),
    )
    with op.batch_alter_table("budget_spends", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_budget_spends_time"), ["time"], unique=False)


def _checkpoints() -> None:
    op.rename_table("audit_checkpoints", "audit_checkpoints_of_one")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER INDEX pk_audit_checkpoints RENAME TO pk_audit_checkpoints_of_one")
    op.create_table(
        "audit_checkpoints",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("heads", sa.Text(), nullable=False),
        sa.Column("time", sa.Float(precision=53), nullable=False),
        sa.Column("signature", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_checkpoints")),
    )
    op.execute(
        "INSERT INTO audit_checkpoints (number, heads, time, signature)"
        " SELECT ROW_NUMBER() OVER (ORDER BY sequence),"
        """ '{"1":[' || CAST(sequence AS TEXT) || ',"' || hash || '"]}', time, signature"""
        " FROM audit_checkpoints_of_one"
    )
    op.drop_table("audit_checkpoints_of_one")
