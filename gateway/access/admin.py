"""What the methods of AdminService need: for each noun "admin.<noun>:read" or "admin.<noun>:write"."""

from collections.abc import Mapping

from gateway.access.needs import Needs

ADMIN: Mapping[str, Needs] = {}
