"""The list of collections, and the extension that their tables need."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    op.create_table(
        "retrieval_collections",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("collection", sa.String(length=128), nullable=False),
        sa.Column("max_chars", sa.Integer(), nullable=False),
        sa.Column("create_time", sa.Float(precision=53), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("embedders", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retrieval_collections")),
        sa.UniqueConstraint("tenant", "collection", name=op.f("uq_retrieval_collections_tenant_collection")),
    )
