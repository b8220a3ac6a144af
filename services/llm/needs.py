"""What a call needs of the model that answers it. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from services.llm.catalogue.entry import Capability
from services.llm.chat import Priority


@dataclass(frozen=True, slots=True)
class Needs:
    """What a call needs of a target. `tokens` counts the prompt and the least answer; it is called only where it
    matters. `tenant`: whose turn it is where calls wait for a place, interactive ones ahead of batch ones.
    `whole`: the answer begins when it is done. `prompt`: what the model reads, in its order; it is called only where
    targets are chosen by it. `said`: the user's last two messages, for routes that judge how hard they are. `prefer`:
    models that are asked before all others, the first that can be."""

    capabilities: frozenset[Capability] = frozenset()
    tokens: Callable[[], int] = lambda: 0
    priority: Priority = Priority.INTERACTIVE
    tenant: str = ""
    whole: bool = False
    prompt: Callable[[], Iterable[bytes]] = tuple
    said: Callable[[], Sequence[str]] = tuple
    prefer: tuple[str, ...] = ()


NOTHING = Needs()
