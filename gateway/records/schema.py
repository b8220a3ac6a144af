"""Every table there is: what migrations are compared with."""

from gateway.records import tables as records_tables
from gateway.records.metadata import METADATA

__all__ = ["METADATA", "records_tables"]
