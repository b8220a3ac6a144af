"""The names that the tools of a spec come to, as far as they are known before a server is asked."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.orchestrator.tools.specs import BUILTIN, GrpcSpec, McpSpec, SqlSpec, ToolSpec, parse
from services.runtime.spelling import meant

MAX_NAME = 64
_MARK = 8
_NO_NAME = re.compile(r"[^a-zA-Z0-9_-]")


def grpc_name(service: str, method: str) -> str:
    """Of a tool whose entry says none; the service without its package."""
    return f"{service}_{method}"[-MAX_NAME:]


def mcp_name(server: str, tool: str) -> str:
    return _NO_NAME.sub("_", f"{server}_{tool}")[:MAX_NAME]


def mcp_name_apart(server: str, tool: str) -> str:
    """The same where another tool has that name: with some characters more, the same ones each time."""
    digest = hashlib.sha256(f"{server}/{tool}".encode()).hexdigest()
    return f"{mcp_name(server, tool)[: MAX_NAME - 1 - _MARK]}_{digest[:_MARK]}"


@dataclass(frozen=True, slots=True)
class ToolNames:
    """`known`: names that stand. `possible`: names that a tool has where another has its own. `starts`: of servers all
    of whose tools are allowed. `unsure`: an entry is wrong, and nobody can tell what it would be called."""

    known: tuple[str, ...] = ()
    possible: frozenset[str] = frozenset()
    starts: tuple[str, ...] = ()
    unsure: bool = False

    def has(self, name: str) -> bool:
        """Whether a tool may be called so."""
        return self.unsure or name in self.known or name in self.possible or name.startswith(self.starts)

    def fault(self, name: str) -> str:
        """What is wrong with naming a tool so; empty where nothing is."""
        if self.has(name):
            return ""
        listed = [*self.known, *(f"{start}…" for start in self.starts)]
        there = f"; it has: {', '.join(listed) or 'none'}"
        return f"the agent has no tool {name!r}{meant(name, self.known) or there}"


def names_of(entries: Sequence[Any]) -> ToolNames:
    """The names of the tools of a spec's `tools`."""
    specs, _ = parse(entries)
    right = {number for number, _ in specs}
    wrong = [entry for number, entry in enumerate(entries) if number not in right]
    known = [entry for entry in wrong if isinstance(entry, str)]
    possible: set[str] = set()
    starts: list[str] = []
    for number, spec in specs:
        if not isinstance(spec, McpSpec):
            known.append(_name(entries[number], spec))
        elif "*" in spec.allow:
            starts.append(mcp_name(spec.mcp, ""))
        else:
            known += [mcp_name(spec.mcp, tool) for tool in spec.allow]
            possible |= {mcp_name_apart(spec.mcp, tool) for tool in spec.allow}
    return ToolNames(
        tuple(known), frozenset(possible), tuple(starts), len(wrong) > sum(isinstance(one, str) for one in wrong)
    )


def _name(entry: Any, spec: ToolSpec) -> str:
    if isinstance(spec, SqlSpec | GrpcSpec) and spec.name:
        return spec.name
    if isinstance(spec, GrpcSpec):
        service, _, method = spec.grpc.rpartition(".")[2].partition("/")
        return grpc_name(service, method)
    name = entry["tool"] if isinstance(entry, Mapping) else entry
    assert name in BUILTIN  # noqa: S101 (it was parsed)
    return str(name)
