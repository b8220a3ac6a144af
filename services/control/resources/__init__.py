"""Topology and edge settings in, xDS resources out: pure functions, no state, no I/O."""

from services.control.resources.edge import edge_resources
from services.control.resources.mesh import mesh_resources
from services.control.resources.wire import CDS, EDS, LDS, RDS, TYPES, Resource

__all__ = ["CDS", "EDS", "LDS", "RDS", "TYPES", "Resource", "edge_resources", "mesh_resources"]
