"""Files, vector stores, and the files that are put into them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "retrieval_attached_files",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("store", sa.String(length=64), nullable=False),
        sa.Column("file", sa.String(length=64), nullable=False),
        sa.Column("batch", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("error_reason", sa.String(length=64), nullable=False),
        sa.Column("error_message", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("access_groups", sa.Text(), nullable=False),
        sa.Column("caller_groups", sa.Text(), nullable=False),
        sa.Column("created", sa.Float(precision=53), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "store", "file", name=op.f("pk_retrieval_attached_files")),
    )
    with op.batch_alter_table("retrieval_attached_files", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_retrieval_attached_files_status_due"), ["status", "due"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_retrieval_attached_files_tenant_store_batch"), ["tenant", "store", "batch"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_retrieval_attached_files_tenant_store_created_file"),
            ["tenant", "store", "created", "file"],
            unique=False,
        )

    op.create_table(
        "retrieval_file_batches",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("store", sa.String(length=64), nullable=False),
        sa.Column("created", sa.Float(precision=53), nullable=False),
        sa.Column("cancelled", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retrieval_file_batches")),
    )
    with op.batch_alter_table("retrieval_file_batches", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_retrieval_file_batches_tenant_store"), ["tenant", "store"], unique=False)

    op.create_table(
        "retrieval_files",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.Float(precision=53), nullable=False),
        sa.Column("ready", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retrieval_files")),
    )
    with op.batch_alter_table("retrieval_files", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_retrieval_files_tenant_created_id"), ["tenant", "created", "id"], unique=False
        )

    op.create_table(
        "retrieval_leases",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=192), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_retrieval_leases")),
    )
    op.create_table(
        "retrieval_mesh",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retrieval_mesh")),
    )
    op.create_table(
        "retrieval_vector_stores",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("store", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "store", name=op.f("pk_retrieval_vector_stores")),
    )
    op.create_table(
        "retrieval_file_parts",
        sa.Column("file", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["file"], ["retrieval_files.id"], name=op.f("fk_retrieval_file_parts_file"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("file", "number", name=op.f("pk_retrieval_file_parts")),
    )
