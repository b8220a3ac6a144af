"""Keeping prompts: applying, showing, listing and deleting them, and finding the version that a run uses."""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass

from services.llm.prompts.errors import BadPrompt, PromptNotFound
from services.llm.prompts.prompt import PromptSpec, PromptVersion, digest, parse
from services.orchestrator.prompts.store import PromptStore
from services.orchestrator.versions import Stored
from services.runtime.records.errors import RecordsUnavailable

log = logging.getLogger(__name__)

MOST_KEPT = 1000


@dataclass(frozen=True, slots=True)
class RegisteredPrompt:
    """A version as others see it. `spec` is None for one that is no longer valid, and `unavailable` says why."""

    stored: Stored
    spec: PromptSpec | None
    unavailable: str = ""


class PromptService:
    """The prompts of all tenants. What was found last serves runs while the records are gone."""

    def __init__(self, store: PromptStore) -> None:
        self._store = store
        self._last: OrderedDict[tuple[str, str, int], Stored] = OrderedDict()

    async def apply(self, tenant: str, text: str, *, dry_run: bool) -> tuple[RegisteredPrompt, bool]:
        """Store the next version, unless it means the same as the latest; the prompt, and whether it changed. Raises
        BadPrompt."""
        spec = await asyncio.to_thread(parse, text)
        meaning = digest(spec)
        if not dry_run:
            stored, changed = await self._store.apply(tenant, spec.name, text, meaning)
            return RegisteredPrompt(stored, spec), changed
        latest = await self._store.get(tenant, spec.name)
        if latest is not None and latest.digest == meaning:
            return RegisteredPrompt(latest, spec), False
        version = (latest.version if latest else 0) + 1
        return RegisteredPrompt(Stored(spec.name, version, text, meaning, 0), spec), True

    async def get(self, tenant: str, name: str, version: int = 0) -> RegisteredPrompt:
        """A version; 0 for the latest. Raises PromptNotFound."""
        stored = await self._store.get(tenant, name, version)
        if stored is None:
            raise PromptNotFound(name, version)
        return await _registered(stored)

    async def find(self, tenant: str, name: str, version: int = 0) -> PromptVersion:
        """A version to be used; 0 for the latest. Raises PromptNotFound, BadPrompt, and RecordsUnavailable where it was
        never read."""
        key = (tenant, name, version)
        try:
            stored = await self._store.get(tenant, name, version)
        except RecordsUnavailable:
            stored = self._last.get(key)
            if stored is None:
                raise
            log.warning("prompts not read: the last one serves", extra={"prompt": name})
        if stored is None:
            self._last.pop(key, None)
            raise PromptNotFound(name, version)
        for kept in {key, (tenant, name, stored.version)}:
            self._last[kept] = stored
            self._last.move_to_end(kept)
        while len(self._last) > MOST_KEPT:
            self._last.popitem(last=False)
        return PromptVersion(name, stored.version, await asyncio.to_thread(parse, stored.spec))

    async def latest(self, tenant: str, limit: int, after: str = "") -> tuple[list[RegisteredPrompt], bool]:
        """The latest version of each prompt, by name, from the one after `after`; and whether there are more."""
        latest = await self._store.latest(tenant)
        page = [name for name in sorted(latest) if name > after]
        return [await self.get(tenant, name, latest[name]) for name in page[:limit]], len(page) > limit

    async def versions(
        self, tenant: str, name: str, limit: int, before: int | None = None
    ) -> tuple[list[RegisteredPrompt], bool]:
        """All versions of a prompt, the latest first. Raises PromptNotFound."""
        stored = await self._store.versions(tenant, name, limit + 1, before)
        if not stored and before is None:
            raise PromptNotFound(name)
        return [await _registered(each) for each in stored[:limit]], len(stored) > limit

    async def delete(self, tenant: str, name: str, version: int = 0) -> int:
        """Delete a version, or all with 0; how many there were. Raises PromptNotFound."""
        deleted = await self._store.delete(tenant, name, version)
        self.forget(tenant)
        if not deleted:
            raise PromptNotFound(name, version)
        return deleted

    def forget(self, tenant: str) -> None:
        """Drop what was last found of a tenant."""
        for key in [key for key in self._last if key[0] == tenant]:
            del self._last[key]


async def _registered(stored: Stored) -> RegisteredPrompt:
    try:
        return RegisteredPrompt(stored, await asyncio.to_thread(parse, stored.spec))
    except BadPrompt as error:
        return RegisteredPrompt(stored, None, f"it is no longer valid: {error.message}")
