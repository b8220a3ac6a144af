"""The methods of the guards' policies."""

import time

from headworks.gateway.v1 import admin_pb2
from headworks.gateway.v1 import admin_service_pb2 as pb

from gateway.admin.asking import READ, WRITE, offset, tenant
from gateway.admin.convert import page_size, timestamp
from gateway.guard.policies import Policies
from gateway.guard.store import GuardStore, StoredPolicy
from services.runtime.errors import InvalidArgument
from services.runtime.interceptors.pipeline import Context


class Guards:
    """`policies` checks what the store is given."""

    def __init__(self, store: GuardStore, policies: Policies) -> None:
        self._store = store
        self._policies = policies

    async def PutGuardPolicy(self, request: pb.PutGuardPolicyRequest, context: Context) -> pb.PutGuardPolicyResponse:
        owner = tenant(request.tenant, WRITE)
        if not request.spec.strip():
            raise InvalidArgument("a policy without guards is written `guards: []`", field="spec")
        await self._policies.check(request.spec)
        if request.dry_run:
            stored = StoredPolicy(owner, request.agent, request.spec, time.time())
        else:
            stored = await self._store.put(owner, request.agent, request.spec)
        return pb.PutGuardPolicyResponse(policy=policy(stored))

    async def ListGuardPolicies(
        self, request: pb.ListGuardPoliciesRequest, context: Context
    ) -> pb.ListGuardPoliciesResponse:
        size, begin = page_size(request.page_size), offset(request.page_token)
        found = await self._store.all(tenant(request.tenant, READ))
        end = begin + size
        token = str(end) if end < len(found) else ""
        return pb.ListGuardPoliciesResponse(policies=map(policy, found[begin:end]), next_page_token=token)

    async def DeleteGuardPolicy(
        self, request: pb.DeleteGuardPolicyRequest, context: Context
    ) -> pb.DeleteGuardPolicyResponse:
        await self._store.delete(tenant(request.tenant, WRITE), request.agent)
        return pb.DeleteGuardPolicyResponse()


def policy(one: StoredPolicy) -> admin_pb2.GuardPolicy:
    return admin_pb2.GuardPolicy(tenant=one.tenant, agent=one.agent, spec=one.spec, update_time=timestamp(one.updated))
