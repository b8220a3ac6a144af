"""Every policy in memory, ready to use, as the database has it."""

import asyncio
import logging

from gateway.guard.classifier import Classifier
from gateway.guard.compile import compile_policy
from gateway.guard.pipeline import GuardPipeline, Later
from gateway.guard.policy import Policy, parse
from gateway.guard.store import GuardStore
from gateway.guard.terms.automaton import TooManyTerms
from gateway.guard.terms.library import Library
from gateway.guard.terms.lists import BadTerms
from gateway.guard.turns import Turns
from gateway.policies.store import StoredPolicy
from services.runtime.errors import DomainError, ErrorKind, InvalidArgument

log = logging.getLogger(__name__)


class GuardPolicyBroken(DomainError):
    """What may be said cannot be told, so nothing may be."""

    kind = ErrorKind.FAILED_PRECONDITION
    reason = "GUARD_POLICY_BROKEN"

    def __init__(self, tenant: str, agent: str) -> None:
        super().__init__(
            "the policy of guards cannot be used; an operator must set it anew", tenant=tenant, agent=agent
        )


class Policies:
    """`default`: for tenants without a policy. `later`: see Pipeline. It follows its KIND of Changes by `reload`."""

    def __init__(
        self,
        store: GuardStore,
        default: Policy,
        library: Library,
        classifier: Classifier | None,
        later: Later | None = None,
    ) -> None:
        self._store = store
        self._library = library
        self._classifier = classifier
        self._later = later
        self._turns = Turns()
        self._default = self._ready(default)
        self._stored: dict[tuple[str, str], StoredPolicy] = {}
        self._pipelines: dict[tuple[str, str], GuardPipeline | None] = {}

    def of(self, tenant: str, *names: str) -> GuardPipeline:
        """The policy of the first of the names that has one, which are an agent and the models that it asks; else the
        tenant's, else the default. Raises GuardPolicyBroken."""
        for key in (*((tenant, name) for name in names), (tenant, "")):
            if key in self._pipelines:
                pipeline = self._pipelines[key]
                if pipeline is None:
                    raise GuardPolicyBroken(*key)
                return pipeline
        return self._default

    async def check(self, spec: str) -> Policy:
        """What a policy says, once it is sure that it can be used. Raises InvalidArgument."""
        policy = parse(spec)
        await self._make(policy)
        return policy

    async def put(self, tenant: str, agent: str, spec: str) -> StoredPolicy:
        """Check and set a policy. Raises InvalidArgument, TooManyGuardPolicies, RecordsUnavailable."""
        await self.check(spec)
        return await self._store.put(tenant, agent, spec)

    async def reload(self) -> None:
        """Take up what has changed. One that cannot be used closes its agents, and no others. Raises
        RecordsUnavailable."""
        stored = {(each.tenant, each.agent): each for each in await self._store.all()}
        pipelines: dict[tuple[str, str], GuardPipeline | None] = {}
        for key, each in stored.items():
            known = self._pipelines.get(key) if self._stored.get(key) == each else None
            pipelines[key] = known or await self._load(each)
        self._stored, self._pipelines = stored, pipelines

    async def _load(self, stored: StoredPolicy) -> GuardPipeline | None:
        try:
            return await self._make(parse(stored.spec))
        except InvalidArgument as error:
            place = {"tenant": stored.tenant, "agent": stored.agent, "error": error.message}
            log.error("a policy of guards cannot be used", extra=place)  # noqa: TRY400  # the message says it all
            return None

    async def _make(self, policy: Policy) -> GuardPipeline:
        """In a thread: lists of terms are read and built."""
        try:
            return await asyncio.to_thread(self._ready, policy)
        except (BadTerms, TooManyTerms) as error:
            raise InvalidArgument(f"the policy cannot be used: {error}") from error

    def _ready(self, policy: Policy) -> GuardPipeline:
        return GuardPipeline(
            compile_policy(policy, self._library), self._classifier, later=self._later, turns=self._turns
        )
