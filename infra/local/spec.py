"""What a process of the mesh is, as values: nothing here touches the machine."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from infra.local.ports import HOST
from services.runtime import sockets

Ports = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run: its arguments and its whole environment."""

    argv: Sequence[str]
    env: Mapping[str, str]


SILENT = "not answering yet"


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a process can do its work, and if not, why not.

    `alive` is false where only a new start brings it back: it does not answer, or has given up what it is for. One that
    waits for others is alive. One that is `lost` will not come back to life, and nobody has to wait whether it does.
    """

    ready: bool
    reason: str = ""
    alive: bool = True
    lost: bool = False


class Probe(Protocol):
    """Asks a process how it is."""

    async def check(self, ports: Ports) -> Health:
        """Never raises: a process that does not answer is not ready."""
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Children:
    """The child processes that a process needs: those of this `program`, by the first 15 characters of its name.
    `named` says of its command line what to call it."""

    program: str
    named: Callable[[str], str] = lambda _: ""


@dataclass(frozen=True, slots=True)
class Spec:
    """One process.

    `ports` names what it listens at, the first being its address unless it has a Unix `socket`; `given` holds those
    that are not picked.
    `command` makes its command line from the ports. It starts when every process of the services in `after` is
    ready. Where `published`, control publishes it. `rank` orders stopping: the highest stops first;
    `metrics` names the port, if there is one, and the path of its metrics for Prometheus; `more_metrics` further ones.
    `quiesce` has it take no new calls, before anything stops.
    `drain` is how long it may take, in seconds, where that is not the mesh's own limit. Files whose paths begin
    with `sweep` are what it leaves behind when it is killed. It is not alive while one of its `children` is stopped,
    and lost once one has died. At `http_socket` it serves HTTP beside gRPC. `why` adds to why it did not start what the
    last lines of its log say. `start` is how many seconds it may take from its start to its first answer. `replica` is
    its name among the replicas of its service, where that is not `name`.
    """

    name: str
    service: str
    command: Callable[[Ports], Command]
    probe: Probe
    ports: tuple[str, ...] = ("grpc",)
    given: Mapping[str, int] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    published: bool = True
    rank: int = 0
    metrics: tuple[str, str] = ("metrics", "/metrics")
    more_metrics: tuple[tuple[str, str], ...] = ()
    drain: float | None = None
    quiesce: Callable[[], Awaitable[None]] | None = None
    sweep: str = ""
    socket: Path | None = None
    children: Children | None = None
    http_socket: Path | None = None
    why: Callable[[Sequence[str]], str] = lambda _: ""
    start: float = 120.0
    replica: str = ""

    @property
    def replica_name(self) -> str:
        """As the replica knows itself."""
        return self.replica or self.name

    def target(self, ports: Ports) -> str:
        """Its address, as gRPC writes it: host:port, or unix:path."""
        return sockets.target(self.socket) if self.socket else f"{HOST}:{ports[self.ports[0]]}"
