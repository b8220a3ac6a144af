"""Alembic's environment: migrations run on the connection, and in the transaction, that they are given."""

from alembic import context

from services.runtime.records.schema import Schema

connection = context.config.attributes["connection"]
schema: Schema = context.config.attributes["schema"]


def include_name(name: str | None, type_: str, parents: object) -> bool:
    """Other services' tables may be in the same database."""
    return type_ != "table" or name in schema.metadata.tables


context.configure(
    connection=connection,
    target_metadata=schema.metadata,
    version_table=schema.version_table,
    include_name=include_name,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
