"""Leases that are renewed by a number, not by a time: replicas' clocks are not compared

What was held is free: whoever looks first holds it.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.execute("DELETE FROM leases")
    with op.batch_alter_table("leases", schema=None) as batch_op:
        batch_op.drop_column("expires")
        batch_op.add_column(sa.Column("beat", sa.BigInteger(), nullable=False))
