"""The cache, wired from the settings."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

import grpc
import numpy as np
import numpy.typing as npt

from gateway.cache.policies import CachePolicies
from gateway.cache.policy_store import KIND, CachePolicyStore
from gateway.cache.purges import KIND as PURGES
from gateway.cache.purges import Purges
from gateway.cache.redis_answers import RedisAnswers
from gateway.cache.semantic import verifier as verifiers
from gateway.cache.semantic.finder import Finder
from gateway.cache.service import AnswerCache, Later
from gateway.cache.store import AnswerStore, MemoryAnswers
from gateway.settings import GatewaySettings
from services.runtime.embedders import EMBEDDERS
from services.runtime.errors import Unavailable
from services.runtime.records.assembly import Records
from services.runtime.triton import TritonClient


def open_cache(
    settings: GatewaySettings, records: Records, triton: TritonClient, later: Later, resources: AsyncExitStack
) -> AnswerCache:
    """Closed with `resources`; before `records.changes` is opened. Raises ValueError for an embedder that there is
    not."""
    policies = CachePolicies(CachePolicyStore(records.database))
    records.changes.follow(KIND, policies.reload)
    memory = MemoryAnswers(settings.cache_memory_bytes)
    store: AnswerStore = memory
    if settings.redis_url:
        store = RedisAnswers(settings.redis_url, settings.cache_answers, settings.cache_redis_seconds)
    finder = _finder(settings, triton)

    def drop(tenant: str) -> None:
        memory.drop_tenant(tenant)
        if finder is not None:
            finder.index.drop_tenant(tenant)

    purges = Purges(records.database, drop)
    records.changes.follow(PURGES, purges.reload)
    resources.push_async_callback(store.aclose)
    return AnswerCache(policies, store, purges, settings.cache_answer_bytes, later, finder)


def _finder(settings: GatewaySettings, triton: TritonClient) -> Finder | None:
    """None for an embedder on whose vectors nothing was measured."""
    embedder = EMBEDDERS[settings.cache_embedder]
    verifier = verifiers.read(embedder.name)

    async def embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        try:
            found = await triton.embed(texts, timeout=settings.cache_embed_seconds, embedder=embedder)
        except grpc.aio.AioRpcError as error:
            raise Unavailable("the embedder does not answer") from error
        return found.vectors

    return None if verifier is None else Finder(embed, verifier)
