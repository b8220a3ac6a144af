"""Alembic's environment: migrations run on the connection, and in the transaction, that they are given."""

from alembic import context

from gateway.records.schema import METADATA

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=METADATA,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
