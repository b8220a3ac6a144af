"""What the cache has come to in this process, by tenant and by agent or model."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

MOST = 10_000


@dataclass(slots=True)
class CacheStats:
    """Of calls for which a policy was on. `shared`: of the hits those that waited for an equal call under way; `alike`:
    those by meaning. `compared`: answers by meaning that were not given but held against the model's own, of which
    `wrong` said something else. `stale`: answers that were found and no longer held. `saved_nanos`: in billionths of
    the catalogue's currency."""

    hits: int = 0
    shared: int = 0
    misses: int = 0
    bypassed: int = 0
    stale: int = 0
    stored: int = 0
    saved_tokens: int = 0
    saved_nanos: int = 0
    alike: int = 0
    compared: int = 0
    wrong: int = 0

    def add(self, **counts: int) -> None:
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + count)


COUNTS = tuple(one.name for one in fields(CacheStats))


@dataclass(slots=True)
class StatsBook:
    """Of the tenants and models that were asked last, MOST of them."""

    _stats: OrderedDict[tuple[str, str], CacheStats] = field(default_factory=OrderedDict)

    def of(self, tenant: str, model: str) -> CacheStats:
        key = (tenant, model)
        found = self._stats.get(key)
        if found is None:
            found = self._stats[key] = CacheStats()
            if len(self._stats) > MOST:
                self._stats.popitem(last=False)
        return found

    def tenant(self, tenant: str) -> Mapping[str, CacheStats]:
        """A tenant's, by agent or model."""
        return {model: stats for (owner, model), stats in self._stats.items() if owner == tenant}
