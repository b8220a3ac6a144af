"""A route of the model catalogue: a name that callers use, for several models of the catalogue. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.llm.catalogue.entry import ANY_FIELD, CatalogueEntry, EngineKind
from services.llm.faults import Fault, Remedy
from services.llm.price import Price


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """A model of the catalogue. Those of the lowest `order` are asked first, in shares by their `weight`."""

    model: str
    weight: int = 1
    order: int = 0


@dataclass(frozen=True, slots=True)
class HedgeSpec:
    """A second target is asked as well once the first one is slower than 95 of 100 of its answers, and than
    `least_seconds`; for at most this `share` of calls."""

    share: float = 0.05
    least_seconds: float = 0.1


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """`attempts` of one call at most; of all calls this `retry_share` may be attempts that are made again.
    `first_token_seconds`: how long a target may take to begin its answer while another could be asked, and
    `whole_answer_seconds` for all of one that does not come in a stream. `faults`: what
    is done about them otherwise than REMEDIES says. `resume`: where an answer breaks off, a target that `continues`
    goes on with it."""

    name: str
    targets: tuple[TargetSpec, ...]
    description: str = ""
    bare: bool = False
    attempts: int = 4
    retry_share: float = 0.2
    first_token_seconds: float = 15
    whole_answer_seconds: float = 120
    faults: Mapping[Fault, Remedy] = field(default_factory=dict)
    hedge: HedgeSpec | None = None
    resume: bool = False

    def entry(self, targets: Mapping[str, CatalogueEntry]) -> CatalogueEntry:
        """The route as a model, which can what any of its targets can, and costs what the dearest does."""
        of = [targets[target.model] for target in self.targets]
        fields = [entry.passes for entry in of if ANY_FIELD not in entry.passes]
        return CatalogueEntry(
            self.name,
            EngineKind.ROUTE,
            self.description or f"A route: {', '.join(entry.name for entry in of)}.",
            bare=self.bare,
            price=Price(
                max(entry.price.input_nanos for entry in of), max(entry.price.output_nanos for entry in of)
            ),
            context_length=0 if any(not entry.context_length for entry in of) else max(
                entry.context_length for entry in of
            ),
            answer_tokens=max(entry.answer_tokens for entry in of),
            longest_answer=min(entry.longest_answer for entry in of),
            passes=frozenset.intersection(*fields) if fields else frozenset((ANY_FIELD,)),
            capabilities=frozenset().union(*(entry.capabilities for entry in of)),
            timeout=max(entry.timeout for entry in of),
        )  # fmt: skip
