"""Keeping agents: applying, showing, listing and deleting their specs."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from services.llm.prompts.errors import BadVariables
from services.llm.prompts.prompt import reference
from services.orchestrator.agents.registry import SHIPPED_VERSION, Registry
from services.orchestrator.agents.specs.errors import (
    AgentNotFound,
    BadAgent,
    MayNotGive,
    PromptUnavailable,
    ShippedAgent,
)
from services.orchestrator.agents.specs.shipped import shipped
from services.orchestrator.agents.specs.spec import AgentSpec
from services.orchestrator.agents.specs.store import AgentStore
from services.orchestrator.agents.specs.validation import SAMPLE, ToolCheck, digest, parse, prompt_problem
from services.orchestrator.versions import Stored
from services.runtime.strict_yaml import Problem


@dataclass(frozen=True, slots=True)
class RegisteredAgent:
    """An agent as others see it. `create_time` is None for one that comes with Headworks."""

    name: str
    version: int
    description: str
    spec: str
    digest: str
    create_time: float | None
    model: str
    shipped: bool
    unavailable: str
    models: tuple[str, ...] = ()
    a2a: bool = False


class AgentService:
    """The agents of all tenants, in the database and in the package."""

    def __init__(self, store: AgentStore, registry: Registry, check_tools: ToolCheck | None = None) -> None:
        self._store = store
        self._registry = registry
        self._check_tools = check_tools

    async def apply(
        self, tenant: str, text: str, *, dry_run: bool, may: Callable[[str], bool] = lambda permission: True
    ) -> tuple[RegisteredAgent, bool]:
        """Store the next version, unless it means the same as the latest; the agent, and whether it changed.
        `may`: whether its author has a permission, as the agent asks models and reads collections for others. Raises
        BadAgent, MayNotGive."""
        spec = await asyncio.to_thread(parse, text, self._check_tools)
        self._check_name(spec)
        for permission, what in self._given(spec):
            if not may(permission):
                raise MayNotGive(spec.name, permission, what)
        await self._check_prompt(tenant, text, spec)
        meaning = digest(spec)
        if dry_run:
            latest = await self._store.get(tenant, spec.name)
            if latest is not None and latest.digest == meaning:
                return await self._kept(tenant, latest, spec), False
            version = (latest.version if latest else 0) + 1
            return await self._kept(tenant, Stored(spec.name, version, text, meaning, 0), spec), True
        stored, changed = await self._store.apply(tenant, spec.name, text, meaning)
        if changed:
            self._registry.changed(tenant)
        return await self._kept(tenant, stored, spec), changed

    async def get(self, tenant: str, name: str, version: int = 0) -> RegisteredAgent:
        """Raises AgentNotFound."""
        stored = await self._store.get(tenant, name, version)
        if stored is not None:
            return await self._kept(tenant, stored)
        own = await self._store.get(tenant, name)
        if own is None and version in (0, SHIPPED_VERSION) and self._registry.shipped_spec(name) is not None:
            return self._shipped(name)
        raise AgentNotFound(name, version)

    async def latest(self, tenant: str, limit: int, after: str = "") -> tuple[list[RegisteredAgent], bool]:
        """The latest version of each agent, by name, from the one after `after`; and whether there are more."""
        own = await self._store.latest(tenant)
        names = sorted({*own, *self._registry.shipped_names()})
        page = [name for name in names if name > after]
        found = [await self.get(tenant, name, own.get(name, 0)) for name in page[:limit]]
        return found, len(page) > limit

    async def versions(
        self, tenant: str, name: str, limit: int, before: int | None = None
    ) -> tuple[list[RegisteredAgent], bool]:
        """All versions of an agent, the latest first. Raises AgentNotFound."""
        stored = await self._store.versions(tenant, name, limit + 1, before)
        if stored or before is not None:
            return [await self._kept(tenant, each) for each in stored[:limit]], len(stored) > limit
        return [await self.get(tenant, name)], False

    async def delete(self, tenant: str, name: str, version: int = 0) -> int:
        """Delete a version, or all with 0; how many there were. Raises AgentNotFound, ShippedAgent."""
        deleted = await self._store.delete(tenant, name, version)
        if deleted:
            self._registry.changed(tenant)
            return deleted
        if self._registry.shipped_spec(name) is not None and version in (0, SHIPPED_VERSION):
            raise ShippedAgent(name)
        raise AgentNotFound(name, version)

    def _given(self, spec: AgentSpec) -> Iterator[tuple[str, str]]:
        """The permissions that whoever calls the agent needs not have, and what for."""
        for model in self._registry.models_of(spec):
            yield f"models.call:{model}", "a model that it asks"
        if spec.named_prompt is not None:
            yield f"prompts.read:{reference(spec.named_prompt.prompt)[0]}", "the prompt that it names"
        for collection in spec.read_collections:
            yield f"collections.read:{collection}", "a collection that it reads"

    async def _check_prompt(self, tenant: str, text: str, spec: AgentSpec) -> None:
        """Raises BadAgent where the prompt that the spec names is not there, or cannot be rendered with its values."""
        named = spec.named_prompt
        try:
            prompt = await self._registry.prompt_of(tenant, spec)
            if named is not None and prompt is not None:
                await asyncio.to_thread(prompt.spec.render, named.values(SAMPLE))
        except (PromptUnavailable, BadVariables) as error:
            raise BadAgent([prompt_problem(text, error.message)]) from error

    async def _unavailable(self, tenant: str, spec: AgentSpec) -> str:
        """Why an agent cannot run now; empty where it can."""
        try:
            await self._registry.prompt_of(tenant, spec)
        except PromptUnavailable as error:
            return error.message
        return self._registry.unavailable(spec)

    def _check_name(self, spec: AgentSpec) -> None:
        """Raises BadAgent for the name of a model, which the agent would hide."""
        if self._registry.is_model(spec.name):
            raise BadAgent([Problem("name", f"there is a model {spec.name!r}; an agent needs a name of its own")])

    async def _kept(self, tenant: str, stored: Stored, spec: AgentSpec | None = None) -> RegisteredAgent:
        try:
            spec = spec if spec is not None else await asyncio.to_thread(parse, stored.spec)
        except BadAgent as error:
            why = f"the spec is no longer valid: {error.message}"
            return RegisteredAgent(
                stored.name, stored.version, "", stored.spec, stored.digest, stored.create_time, "", False, why
            )
        return RegisteredAgent(
            stored.name,
            stored.version,
            spec.description,
            stored.spec,
            stored.digest,
            stored.create_time,
            self._registry.model_name(spec),
            False,
            await self._unavailable(tenant, spec),
            self._registry.models_of(spec),
            spec.a2a,
        )

    def _shipped(self, name: str) -> RegisteredAgent:
        spec = self._registry.shipped_spec(name)
        assert spec is not None  # noqa: S101 (the caller has looked)
        model, why = self._registry.model_name(spec), self._registry.unavailable(spec)
        return RegisteredAgent(
            name, SHIPPED_VERSION, spec.description, shipped()[name], digest(spec), None, model, True, why,
            self._registry.models_of(spec),
        )  # fmt: skip
