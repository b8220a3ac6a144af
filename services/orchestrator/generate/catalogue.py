"""The model catalogue: which generator serves which model name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.orchestrator.generate.entry import Entry
from services.orchestrator.generate.generator import Generator
from services.runtime.errors import ModelNotFound

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Served:
    """A model that can be asked."""

    entry: Entry
    generator: Generator


class Catalogue:
    """The models by name. `default` is the one that the name "default" and the empty name stand for, if any."""

    def __init__(self, served: Iterable[Served], default: str = "", currency: str = "USD") -> None:
        self._served: Mapping[str, Served] = {one.entry.name: one for one in served}
        self.currency = currency
        self.default = default
        if default and default not in self._served:
            raise ValueError(f"the default model {default!r} is not in the catalogue")

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All models, in the order of the configuration."""
        return tuple(served.entry for served in self._served.values())

    def find(self, name: str) -> Served:
        """Raises ModelNotFound."""
        wanted = self.default if name in ("", DEFAULT) and name not in self._served else name
        served = self._served.get(wanted)
        if served is None:
            raise ModelNotFound(name or DEFAULT)
        return served
