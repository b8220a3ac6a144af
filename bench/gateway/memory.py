"""Whether the gateway's memory grows with the requests that it has served."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.gateway.probe import HttpTarget
from bench.kit.command import Say
from bench.kit.mesh import Mesh
from bench.kit.report import Extra
from bench.kit.resources import memory
from bench.load import h2load

CONNECTIONS = 16
SERVICE = "gateway-"
FIRST_SHARE = 10


@dataclass(frozen=True, slots=True)
class Growth:
    """The gateways' memory, all replicas together, in MiB (PSS), after so many requests."""

    requests: tuple[int, int]
    held: tuple[float, float]

    @property
    def share(self) -> float:
        """By what share it grew."""
        return self.held[1] / self.held[0] - 1

    def table(self) -> Extra:
        rows = [(f"after {count:,} requests", [held]) for count, held in zip(self.requests, self.held, strict=True)]
        return Extra("memory of the gateways", ("", "MiB (PSS)"), rows)


def measure(mesh: Mesh, target: HttpTarget, requests: int, say: Say) -> Growth:
    """Memory after a tenth of the requests and after all of them. Raises BenchError."""
    counts = (requests // FIRST_SHARE, requests)
    held: list[float] = []
    for count in _steps(counts):
        say(f"{count:,} requests, for the memory")
        h2load.so_many(target, CONNECTIONS, count)
        held.append(sum(of.pss for name, of in memory(mesh.state).items() if name.startswith(SERVICE)))
    return Growth(counts, (held[0], held[1]))


def _steps(counts: Sequence[int]) -> list[int]:
    """How many more requests lead from each count to the next."""
    return [count - before for before, count in zip((0, *counts), counts, strict=False)]
