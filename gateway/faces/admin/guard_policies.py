"""GuardPolicyService."""

import time

from headworks.gateway.v1 import guard_policy_service_pb2 as pb
from headworks.gateway.v1 import guard_policy_service_pb2_grpc as pb_grpc

from gateway.faces.admin import convert
from gateway.faces.admin.calls import AdminCalls
from gateway.faces.admin.fields import offset, page_size
from gateway.guard.policies import Policies
from gateway.guard.store import GuardStore
from gateway.policies.store import StoredPolicy
from services.runtime.errors import InvalidArgument
from services.runtime.interceptors.pipeline import Context


class GuardPolicyServicer(pb_grpc.GuardPolicyServiceServicer):
    """`policies` checks what the store is given."""

    def __init__(self, calls: AdminCalls, policies: Policies) -> None:
        self._calls = calls
        self._policies = policies

    async def PutGuardPolicy(self, request: pb.PutGuardPolicyRequest, context: Context) -> pb.PutGuardPolicyResponse:
        async with self._calls.change(request, context) as call:
            tenant = await call.known_tenant(request.tenant)
            if not request.spec.strip():
                raise InvalidArgument("a policy without guards is written `guards: []`", field="spec")
            await self._policies.check(request.spec)
            if request.dry_run:
                policy = StoredPolicy(tenant, request.agent, request.spec, time.time())
            else:
                policy = await GuardStore(call.database).put(tenant, request.agent, request.spec)
        return pb.PutGuardPolicyResponse(policy=convert.guard_policy(policy))

    async def ListGuardPolicies(
        self, request: pb.ListGuardPoliciesRequest, context: Context
    ) -> pb.ListGuardPoliciesResponse:
        call = self._calls.begin(request, context)
        size, begin = page_size(request.page_size), offset(request.page_token)
        policies = await GuardStore(call.database).all(call.tenant(request.tenant))
        end = begin + size
        token = str(end) if end < len(policies) else ""
        page = map(convert.guard_policy, policies[begin:end])
        return pb.ListGuardPoliciesResponse(policies=page, next_page_token=token)

    async def DeleteGuardPolicy(
        self, request: pb.DeleteGuardPolicyRequest, context: Context
    ) -> pb.DeleteGuardPolicyResponse:
        async with self._calls.change(request, context) as call:
            await GuardStore(call.database).delete(call.tenant(request.tenant), request.agent)
        return pb.DeleteGuardPolicyResponse()
