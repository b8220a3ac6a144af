"""Prompts: templates by name and version."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "orchestrator_prompts",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("create_time", sa.Float(precision=53), nullable=False),
        sa.Column("delete_time", sa.Float(precision=53), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "name", "version"),
        if_not_exists=True,
    )
