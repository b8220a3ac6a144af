"""Delete the identity tokens that 0.1 kept in clear with runs that were under way."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A signed token in clear begins with its header, a JSON object in base64.
    op.execute("UPDATE orchestrator_runs SET token = NULL WHERE token LIKE 'eyJ%'")
