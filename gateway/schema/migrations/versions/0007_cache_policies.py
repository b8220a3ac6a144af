"""Policies of the cache, and its purges."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "cache_policies",
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("agent", sa.String(128), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("updated", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "agent", name=op.f("pk_cache_policies")),
    )
    op.create_table(
        "cache_purges",
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("gateway", sa.String(64), nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name=op.f("pk_cache_purges")),
    )
