"""The cache's policies in the database."""

from gateway.cache.tables import CACHE_POLICIES
from gateway.policies.store import MOST, PolicyStore
from services.runtime.errors import DomainError, ErrorKind
from services.runtime.records.database import Database

KIND = "cache"


class CachePolicyNotFound(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "CACHE_POLICY_NOT_FOUND"

    def __init__(self, tenant: str, agent: str) -> None:
        super().__init__("there is no such policy of the cache", tenant=tenant, agent=agent)


class TooManyCachePolicies(DomainError):
    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_CACHE_POLICIES"

    def __init__(self) -> None:
        super().__init__(f"there are {MOST} policies of the cache, and there may be no more")


class CachePolicyStore(PolicyStore):
    """`agent` may be a model that is passed through, too."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, CACHE_POLICIES, KIND, CachePolicyNotFound, TooManyCachePolicies)
