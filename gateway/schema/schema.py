"""Every table of the gateway, declared by its room, and the migrations that make them."""

from pathlib import Path

from gateway.audit import tables as audit
from gateway.budgets import tables as budgets
from gateway.cache import tables as cache
from gateway.guard import tables as guard
from gateway.identity import tables as identity
from gateway.limits import tables as limits
from gateway.mcp import tables as mcp
from gateway.metadata import METADATA
from gateway.privacy import tables as privacy
from gateway.usage import tables as usage
from services.runtime.records.schema import Schema, declare
from services.runtime.records.tables import LEASES, MESH, REVISIONS

ROOMS = (audit, budgets, cache, guard, identity, limits, mcp, privacy, usage)
declare(METADATA, LEASES, MESH, REVISIONS)
SCHEMA = Schema("gateway", METADATA, Path(__file__).parent / "migrations" / "versions")
