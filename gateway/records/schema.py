"""Every table there is: what migrations are compared with."""

from gateway.audit import tables as audit_tables
from gateway.records import tables as records_tables
from gateway.records.metadata import METADATA

__all__ = ["METADATA", "audit_tables", "records_tables"]
