"""The cache, wired from the settings."""

from contextlib import AsyncExitStack

from gateway.cache.policies import CachePolicies
from gateway.cache.policy_store import KIND, CachePolicyStore
from gateway.cache.purges import KIND as PURGES
from gateway.cache.purges import Purges
from gateway.cache.redis_answers import RedisAnswers
from gateway.cache.service import AnswerCache, Later
from gateway.cache.store import AnswerStore, MemoryAnswers
from gateway.settings import GatewaySettings
from services.runtime.records.assembly import Records


def open_cache(settings: GatewaySettings, records: Records, later: Later, resources: AsyncExitStack) -> AnswerCache:
    """Closed with `resources`; before `records.changes` is opened."""
    policies = CachePolicies(CachePolicyStore(records.database))
    records.changes.follow(KIND, policies.reload)
    memory = MemoryAnswers(settings.cache_memory_bytes)
    store: AnswerStore = memory
    if settings.redis_url:
        store = RedisAnswers(settings.redis_url, settings.cache_answers, settings.cache_redis_seconds)
    purges = Purges(records.database, memory.drop_tenant)
    records.changes.follow(PURGES, purges.reload)
    resources.push_async_callback(store.aclose)
    return AnswerCache(policies, store, purges, settings.cache_answer_bytes, later)
