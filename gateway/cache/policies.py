"""Every policy of the cache in memory, as the database has it."""

import logging

from gateway.cache.policy import CachePolicy, parse
from gateway.cache.policy_store import CachePolicyStore
from services.runtime.errors import InvalidArgument

log = logging.getLogger(__name__)


class CachePolicies:
    """It follows its KIND of Changes by `reload`. Where no policy is set nothing is cached."""

    def __init__(self, store: CachePolicyStore) -> None:
        self._store = store
        self._policies: dict[tuple[str, str], CachePolicy | None] = {}

    def of(self, tenant: str, name: str) -> CachePolicy | None:
        """The policy of an agent or a model, else its tenant's; None where nothing is to be cached."""
        if not self._policies:
            return None
        key = (tenant, name)
        policy = self._policies[key] if key in self._policies else self._policies.get((tenant, ""))
        return policy if policy is not None and policy.enabled else None

    async def reload(self) -> None:
        """Take up what has changed. One that cannot be read caches nothing. Raises RecordsUnavailable."""
        self._policies = {(each.tenant, each.agent): _read(each.spec) for each in await self._store.all()}


def _read(spec: str) -> CachePolicy | None:
    try:
        return parse(spec)
    except InvalidArgument as error:
        log.error("a policy of the cache cannot be used", extra={"error": error.message})  # noqa: TRY400
        return None
