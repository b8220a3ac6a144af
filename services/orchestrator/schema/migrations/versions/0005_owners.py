"""Sessions are their user's: whose those of before are, their first messages say."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sessions = "orchestrator_sessions"
    if "subject" not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns(sessions)}:
        op.add_column(sessions, sa.Column("subject", sa.String(length=256), server_default="", nullable=False))
    op.execute(
        "UPDATE orchestrator_sessions SET subject = COALESCE((SELECT m.subject FROM orchestrator_messages m "
        "WHERE m.tenant = orchestrator_sessions.tenant AND m.session_id = orchestrator_sessions.id "
        "ORDER BY m.number LIMIT 1), '')"
    )
    op.create_index(
        "orchestrator_runs_by_subject", "orchestrator_runs", ["tenant", "subject", "create_time", "id"],
        if_not_exists=True,
    )  # fmt: skip
