"""CacheService."""

import time
from contextlib import aclosing

from headworks.gateway.v1 import cache_service_pb2 as pb
from headworks.gateway.v1 import cache_service_pb2_grpc as pb_grpc

from gateway.cache.entry import CachedAnswer
from gateway.cache.errors import CacheUnavailable
from gateway.cache.policy import WITHIN, parse
from gateway.cache.policy_store import CachePolicyStore
from gateway.cache.service import AnswerCache
from gateway.cache.store import AnswersGone
from gateway.faces.admin import convert
from gateway.faces.admin.calls import AdminCalls
from gateway.faces.admin.fields import offset, page_size
from gateway.limits.model import EACH
from gateway.policies.store import StoredPolicy
from services.runtime.errors import InvalidArgument
from services.runtime.interceptors.pipeline import Context


class CacheServicer(pb_grpc.CacheServiceServicer):
    def __init__(self, calls: AdminCalls, cache: AnswerCache) -> None:
        self._calls = calls
        self._cache = cache

    async def PutCachePolicy(self, request: pb.PutCachePolicyRequest, context: Context) -> pb.PutCachePolicyResponse:
        async with self._calls.change(request, context) as call:
            if request.tenant == EACH:
                raise InvalidArgument(f"a policy is one tenant's: {WITHIN}", field="tenant")
            tenant = await call.known_tenant(request.tenant)
            if not request.spec.strip():
                raise InvalidArgument("a policy that only has the defaults is written `enabled: true`", field="spec")
            parse(request.spec)
            if request.dry_run:
                policy = StoredPolicy(tenant, request.agent, request.spec, time.time())
            else:
                policy = await CachePolicyStore(call.database).put(tenant, request.agent, request.spec)
        return pb.PutCachePolicyResponse(policy=convert.cache_policy(policy))

    async def ListCachePolicies(
        self, request: pb.ListCachePoliciesRequest, context: Context
    ) -> pb.ListCachePoliciesResponse:
        call = self._calls.begin(request, context)
        size, begin = page_size(request.page_size), offset(request.page_token)
        policies = await CachePolicyStore(call.database).all(call.tenant(request.tenant))
        token = str(begin + size) if begin + size < len(policies) else ""
        page = map(convert.cache_policy, policies[begin : begin + size])
        return pb.ListCachePoliciesResponse(policies=page, next_page_token=token)

    async def DeleteCachePolicy(
        self, request: pb.DeleteCachePolicyRequest, context: Context
    ) -> pb.DeleteCachePolicyResponse:
        async with self._calls.change(request, context) as call:
            await CachePolicyStore(call.database).delete(call.tenant(request.tenant), request.agent)
        return pb.DeleteCachePolicyResponse()

    async def GetCacheStats(self, request: pb.GetCacheStatsRequest, context: Context) -> pb.GetCacheStatsResponse:
        call = self._calls.begin(request, context)
        stats = self._cache.stats.tenant(call.tenant(request.tenant))
        return pb.GetCacheStatsResponse(stats=[convert.cache_stats(model, stats[model]) for model in sorted(stats)])

    async def ListCachedAnswers(
        self, request: pb.ListCachedAnswersRequest, context: Context
    ) -> pb.ListCachedAnswersResponse:
        call = self._calls.begin(request, context)
        size, begin = page_size(request.page_size), offset(request.page_token)
        page, seen = [], 0
        try:
            async with aclosing(self._cache.all(call.tenant(request.tenant))) as answers:
                async for answer in answers:
                    if request.model not in ("", answer.model):
                        continue
                    seen += 1
                    if seen > begin + size:
                        break
                    if seen > begin:
                        page.append(convert.cached_answer(answer))
        except AnswersGone as error:
            raise CacheUnavailable from error
        token = str(begin + size) if seen > begin + size else ""
        return pb.ListCachedAnswersResponse(answers=page, next_page_token=token)

    async def PurgeCache(self, request: pb.PurgeCacheRequest, context: Context) -> pb.PurgeCacheResponse:
        def named(answer: CachedAnswer) -> bool:
            documents = [document.id for document in answer.documents]
            return (
                request.model in ("", answer.model)
                and request.key in ("", answer.key)
                and (not request.document or request.document in documents)
            )

        async with self._calls.change(request, context) as call:
            try:
                purged = await self._cache.purge(call.tenant(request.tenant), call.database, named)
            except AnswersGone as error:
                raise CacheUnavailable from error
        return pb.PurgeCacheResponse(purged=purged)
