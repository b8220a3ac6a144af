"""The guards' policies in the database."""

from gateway.guard.tables import GUARD_POLICIES
from gateway.policies.store import MOST, PolicyStore
from services.runtime.errors import DomainError, ErrorKind
from services.runtime.records.database import Database

KIND = "guards"


class GuardPolicyNotFound(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "GUARD_POLICY_NOT_FOUND"

    def __init__(self, tenant: str, agent: str) -> None:
        super().__init__("there is no such policy of guards", tenant=tenant, agent=agent)


class TooManyGuardPolicies(DomainError):
    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_GUARD_POLICIES"

    def __init__(self) -> None:
        super().__init__(f"there are {MOST} policies of guards, and there may be no more")


class GuardStore(PolicyStore):
    """Policies are held by their pipelines, ready to use."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, GUARD_POLICIES, KIND, GuardPolicyNotFound, TooManyGuardPolicies)
