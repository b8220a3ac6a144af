"""How many of the tokens that a run's models wrote are what they thought; of runs of before it is not known."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    runs = "orchestrator_runs"
    if "reasoning_tokens" not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns(runs)}:
        op.add_column(runs, sa.Column("reasoning_tokens", sa.Integer(), server_default="0", nullable=False))
