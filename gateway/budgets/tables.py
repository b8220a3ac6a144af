"""The tables of budgets."""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table, UniqueConstraint

from gateway.metadata import METADATA

# `amount` is in tokens, or in nanos of the catalogue's currency.
BUDGETS = Table(
    "budgets",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("scope", String(16), nullable=False),
    Column("scope_id", String(192), nullable=False),
    Column("period", String(8), nullable=False),
    Column("unit", String(8), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("create_time", Float(53), nullable=False),
    UniqueConstraint("tenant", "scope", "scope_id", "period", "unit"),
)

# A day or a month of a budget. Its row is locked by whoever changes it or its leases, or moves what was spent into it.
PERIODS = Table(
    "budget_periods",
    METADATA,
    Column("budget", String(64), primary_key=True),
    Column("period", String(10), primary_key=True),
    Column("spent", BigInteger, nullable=False),
)

# What a gateway process has spent of a period and is not in its row yet, so that calls which end need not lock that:
# what is spent is the sum of all. `time`: when it was last added to, by the process' clock.
SPENDS = Table(
    "budget_spends",
    METADATA,
    Column("budget", String(64), primary_key=True),
    Column("period", String(10), primary_key=True),
    Column("holder", String(192), primary_key=True),
    Column("spent", BigInteger, nullable=False),
    Column("time", Float(53), nullable=False),
    Index(None, "time"),
)

# What a gateway process may spend without asking: spent + the sum of the amounts is never more than the budget. `used`
# is what its open streams have used of it when it last said so; it becomes spent when the lease expires.
GRANTS = Table(
    "budget_grants",
    METADATA,
    Column("budget", String(64), primary_key=True),
    Column("period", String(10), primary_key=True),
    Column("holder", String(192), primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("expires", Float(53), nullable=False),
    Index(None, "expires"),
)

# A share of a budget that was reached, once for each period. `told`: when it was sent, `claimed`: when somebody
# last began to.
ALERTS = Table(
    "budget_alerts",
    METADATA,
    Column("budget", String(64), primary_key=True),
    Column("period", String(10), primary_key=True),
    Column("percent", Integer, primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("time", Float(53), nullable=False),
    Column("claimed", Float(53), nullable=False),
    Column("told", Float(53)),
    Index(None, "tenant", "time"),
)
