"""Every table there is: what migrations are compared with."""

from gateway.audit import tables as audit_tables
from gateway.budgets import tables as budgets_tables
from gateway.guard import tables as guard_tables
from gateway.identity import tables as identity_tables
from gateway.limits import tables as limits_tables
from gateway.privacy import tables as privacy_tables
from gateway.records import tables as records_tables
from gateway.records.metadata import METADATA
from gateway.usage import tables as usage_tables

__all__ = [
    "METADATA",
    "audit_tables",
    "budgets_tables",
    "guard_tables",
    "identity_tables",
    "limits_tables",
    "privacy_tables",
    "records_tables",
    "usage_tables",
]
