"""Making tables where several replicas may make the same ones at once."""

from sqlalchemy import Engine, MetaData
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

ATTEMPTS = 10
# What the databases say when a table has come since it was looked for.
BEATEN = (OperationalError, ProgrammingError, IntegrityError)


def make_tables(metadata: MetaData, engine: Engine) -> None:
    """Make those that are not there. Raises what the database says when that fails again and again."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            metadata.create_all(engine)
        except BEATEN:
            if attempt == ATTEMPTS:
                raise
        else:
            return
