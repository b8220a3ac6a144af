"""Finds agents: the tenant's own, then those that come with Headworks, then the catalogue's bare models."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from services.llm.catalogue.entry import Capability, CatalogueEntry, EngineKind
from services.llm.handle import ModelHandle
from services.llm.models import DEFAULT
from services.llm.prompts.errors import BadPrompt, PromptNotFound
from services.llm.prompts.prompt import PromptVersion, reference
from services.orchestrator.agents.loop.bare import BareModel
from services.orchestrator.agents.loop.loop import SpecAgent
from services.orchestrator.agents.loop.work import Kit
from services.orchestrator.agents.specs.asked_models import asked_models, catalogue_name
from services.orchestrator.agents.specs.errors import BadAgent, ModelUnavailable, PromptUnavailable
from services.orchestrator.agents.specs.shipped import shipped
from services.orchestrator.agents.specs.spec import AgentSpec, RunLimits
from services.orchestrator.agents.specs.store import AgentStore
from services.orchestrator.agents.specs.validation import parse
from services.orchestrator.runs.agent import Agent, Listed
from services.runtime.errors import ModelNotFound
from services.runtime.numerals import numeral
from services.runtime.records.errors import RecordsUnavailable

MOST_TENANTS = 4096
MOST_SPECS = 512
SHIPPED_VERSION = 1
VERSION_DIGITS = 9

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Names:
    """A tenant's own agents by name, with their latest versions; None until they are read. They are `fresh` until some
    agent changes."""

    latest: dict[str, int] | None = None
    fresh: bool = False
    refresh: asyncio.Task[dict[str, int]] | None = None


class Prompts(Protocol):
    """The tenants' prompts."""

    async def find(self, tenant: str, name: str, version: int = 0) -> PromptVersion:
        """A version; 0 for the latest. Raises PromptNotFound, BadPrompt, RecordsUnavailable."""
        ...


class Registry:
    """The agents of all tenants, cached until the change feed reports that some changed. `rag_model` is the model that
    the shipped `rag` asks. `prompts`: those that agents may name."""

    def __init__(self, store: AgentStore, kit: Kit, rag_model: str = "", prompts: Prompts | None = None) -> None:
        self._store = store
        self._prompts = prompts
        self._kit = kit
        self._rag_model = rag_model
        self._names: OrderedDict[str, _Names] = OrderedDict()
        self._specs: OrderedDict[tuple[str, str, int], AgentSpec | BadAgent] = OrderedDict()
        self._changes = 0
        self._shipped = {name: self._shipped_spec(name, text) for name, text in shipped().items()}
        self._made: dict[str, Agent] = {}

    async def find(self, tenant: str, model: str, prompt: str = "") -> Agent:
        """By "name" or "name@version"; one that another replica has just stored is found too. `prompt`: the version to
        use of the prompt that it names, in place of the latest. Raises ModelNotFound; ModelUnavailable where its model
        is not served; PromptUnavailable."""
        try:
            return await self._find(tenant, model, prompt)
        except ModelNotFound:
            known = self._names.get(tenant)
            if known is None or not known.fresh:
                raise
            known.fresh = False
            return await self._find(tenant, model, prompt)

    async def _find(self, tenant: str, model: str, prompt: str) -> Agent:
        name, at, wanted = model.partition("@")
        number = numeral(wanted, VERSION_DIGITS)
        if not name or (at and number is None):
            raise ModelNotFound(model)
        latest = (await self._latest(tenant)).get(name)
        if latest is not None:
            spec = await self._own(tenant, name, number or latest)
            if spec is None:
                raise ModelNotFound(model)
            return self._agent(spec, number or latest, await self.prompt_of(tenant, spec, prompt))
        if wanted not in ("", str(SHIPPED_VERSION)):
            raise ModelNotFound(model)
        made = self._made.get(name)
        if made is None:
            made = self._common(name, model)
            self._made[name] = made
        return made

    async def models(self, tenant: str) -> Sequence[Listed]:
        """All that can run now, ordered by id."""
        listed: dict[str, Listed] = {}
        for handle in self._kit.models.handles:
            entry = handle.entry
            if entry.engine is not EngineKind.EXTRACTIVE:
                model = _listed(entry.name, entry.description, 0, entry, (entry.name,))
                listed[entry.name] = replace(model, targets=tuple(handle.health()))
        for name, spec in self._shipped.items():
            self._list(listed, name, spec, SHIPPED_VERSION)
        for name, version in (await self._latest(tenant)).items():
            listed.pop(name, None)
            with suppress(ModelUnavailable):
                own = await self._own(tenant, name, version)
                if own is not None:
                    self._list(listed, name, own, version)
        return [listed[name] for name in sorted(listed)]

    async def prompt_of(self, tenant: str, spec: AgentSpec, wanted: str = "") -> PromptVersion | None:
        """The prompt that an agent names, in the version that is `wanted`, else the one that it names; None where it
        names none. Raises PromptUnavailable."""
        named = spec.named_prompt
        if named is None:
            return None
        if self._prompts is None:
            raise PromptUnavailable(spec.name, "there are no prompts here")
        name, version = reference(wanted or named.prompt)
        try:
            return await self._prompts.find(tenant, name, version)
        except (PromptNotFound, BadPrompt) as error:
            raise PromptUnavailable(spec.name, error.message) from error

    def unavailable(self, spec: AgentSpec) -> str:
        """Why an agent cannot run now; empty where it can."""
        try:
            self._served(spec)
        except ModelUnavailable as error:
            return error.message
        return ""

    def model_name(self, spec: AgentSpec) -> str:
        """The catalogue's name of an agent's model; as the spec has it where there is none."""
        return catalogue_name(spec.model, self._kit.models)

    @property
    def default_model(self) -> str:
        """What the name "default" stands for; empty where that is nothing."""
        return self._kit.models.default

    def models_of(self, spec: AgentSpec) -> tuple[str, ...]:
        """The catalogue's names of all models that an agent asks: see `asked_models`."""
        return asked_models(spec, self._kit.models)

    def is_model(self, name: str) -> bool:
        """The catalogue has a model of this name."""
        return name == DEFAULT or any(entry.name == name for entry in self._kit.models.entries)

    def shipped_spec(self, name: str) -> AgentSpec | None:
        """An agent that comes with Headworks."""
        return self._shipped.get(name)

    def shipped_names(self) -> list[str]:
        return sorted(self._shipped)

    def changed(self, tenant: str) -> None:
        """Drop what is cached of a tenant whose agents changed here."""
        self._names.pop(tenant, None)
        for key in [key for key in self._specs if key[0] == tenant]:
            del self._specs[key]
        self._changes += 1

    async def reload(self) -> None:
        """Drop what is cached, as agents changed on some replica; known names serve on while the records are gone."""
        self._specs.clear()
        self._changes += 1
        for names in self._names.values():
            names.fresh, names.refresh = False, None

    def _list(self, listed: dict[str, Listed], name: str, spec: AgentSpec, version: int) -> None:
        """Put an agent on the list if it can run; one that cannot hides a model of its name all the same."""
        listed.pop(name, None)
        with suppress(ModelUnavailable):
            entry = self._served(spec).entry
            listed[name] = _listed(name, spec.description, version, entry, self.models_of(spec))

    def _common(self, name: str, model: str) -> Agent:
        """An agent that is the same for all tenants."""
        spec = self._shipped.get(name)
        if spec is not None:
            return self._agent(spec, SHIPPED_VERSION)
        if name != model:
            raise ModelNotFound(model)
        served = self._kit.models.find(name)
        if served.entry.engine is EngineKind.EXTRACTIVE:
            raise ModelNotFound(model)
        return BareModel(served, SpecAgent(_bare_spec(served.entry.name), 0, served, self._kit))

    def _agent(self, spec: AgentSpec, version: int, prompt: PromptVersion | None = None) -> SpecAgent:
        return SpecAgent(spec, version, self._served(spec), self._kit, prompt)

    def _served(self, spec: AgentSpec) -> ModelHandle:
        """The model of an agent. Raises ModelUnavailable."""
        try:
            served = self._kit.models.find(spec.model)
        except ModelNotFound as error:
            which = "no language model" if spec.model == DEFAULT else f"no model {spec.model!r}"
            raise ModelUnavailable(
                f"the agent {spec.name!r} cannot run: {which} is served; start the mesh with --llm, or put the model "
                "into the catalogue",
                agent=spec.name,
                model=spec.model,
            ) from error
        if served.entry.engine is EngineKind.EXTRACTIVE and spec.retrieval.mode != "always":
            raise ModelUnavailable(
                f"the agent {spec.name!r} cannot run: the model {served.entry.name!r} only quotes from passages, and "
                "the agent retrieves none; start the mesh with --llm, or put a language model into the catalogue",
                agent=spec.name,
                model=spec.model,
            )
        if spec.tool_entries and Capability.TOOLS not in served.entry.capabilities:
            raise ModelUnavailable(
                f"the agent {spec.name!r} cannot run: its model {served.entry.name!r} cannot call tools",
                agent=spec.name,
                model=spec.model,
            )
        return served

    def _shipped_spec(self, name: str, text: str) -> AgentSpec:
        spec = parse(text)
        return spec.model_copy(update={"model": self._rag_model}) if name == "rag" and self._rag_model else spec

    async def _own(self, tenant: str, name: str, version: int) -> AgentSpec | None:
        """A version of the tenant's; None where there is none. Raises ModelUnavailable for one that is no longer
        valid."""
        key = (tenant, name, version)
        spec = self._specs.get(key)
        if spec is not None:
            self._specs.move_to_end(key)
            return _valid(name, spec)
        changes = self._changes
        stored = await self._store.get(tenant, name, version)
        if stored is None:
            return None
        try:
            spec = await asyncio.to_thread(parse, stored.spec)
        except BadAgent as error:
            spec = error
        if changes == self._changes:
            self._specs[key] = spec
        if len(self._specs) > MOST_SPECS:
            self._specs.popitem(last=False)
        return _valid(name, spec)

    async def _latest(self, tenant: str) -> dict[str, int]:
        """The tenant's own agents. Raises RecordsUnavailable where they were never read."""
        names = self._names.get(tenant)
        if names is None:
            names = self._names[tenant] = _Names()
            if len(self._names) > MOST_TENANTS:
                self._names.popitem(last=False)
        if names.fresh and names.latest is not None:
            return names.latest
        if names.refresh is None:
            names.refresh = asyncio.create_task(self._store.latest(tenant))
            names.refresh.add_done_callback(partial(_refreshed, names))
        try:
            return await asyncio.shield(names.refresh)
        except RecordsUnavailable:
            if names.latest is None:
                raise
            return names.latest


def _refreshed(names: _Names, refresh: "asyncio.Task[dict[str, int]]") -> None:
    """Cache what was read, unless an agent changed meanwhile."""
    error = None if refresh.cancelled() else refresh.exception()
    if error is not None:
        log.warning("agents not read: %s", type(error).__name__)
    if names.refresh is refresh:
        names.refresh = None
        if error is None and not refresh.cancelled():
            names.latest, names.fresh = refresh.result(), True


def _valid(name: str, spec: AgentSpec | BadAgent) -> AgentSpec:
    if isinstance(spec, BadAgent):
        raise ModelUnavailable(f"the agent {name!r} cannot run: {spec.message}", agent=name)
    return spec


def _listed(name: str, description: str, version: int, entry: CatalogueEntry, models: tuple[str, ...]) -> Listed:
    return Listed(
        name,
        description,
        version,
        entry.context_length,
        tuple(sorted(entry.capabilities)),
        entry.price.input_nanos,
        entry.price.output_nanos,
        models,
    )


def _bare_spec(name: str) -> AgentSpec:
    """What a bare model is where it needs the loop: for a session, or an answer that must have a form."""
    return AgentSpec(name="bare", model=name, limits=RunLimits(seconds=None, tool_calls=0))
