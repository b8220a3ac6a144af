"""The roles that every tenant has."""

from collections.abc import Mapping

_USER = {
    "models.call:*", "models.read:*", "embeddings.call:*", "collections.read:*", "agents.read:*",
    "runs.read:*", "runs.write:*", "sessions.read:*", "sessions.write:*",
}  # fmt: skip
_DEVELOPER = _USER | {"agents.write:*", "collections.write:*", "collections.delete:*", "runs.decide:*"}
# What a tenant's own administrators look after. Tenants themselves are for operators.
NOUNS = (
    "projects", "principals", "keys", "roles", "budgets", "limits", "guards", "usage", "audit", "data",
)  # fmt: skip

OPERATOR = "operator"
BUILT_IN: Mapping[str, frozenset[str]] = {
    "user": frozenset(_USER),
    "developer": frozenset(_DEVELOPER),
    "auditor": frozenset({"models.read:*", "runs.read:*"} | {f"admin.{noun}:read" for noun in NOUNS}),
    "admin": frozenset(_DEVELOPER | {f"admin.{noun}:*" for noun in NOUNS}),
    OPERATOR: frozenset({"*"}),
}
