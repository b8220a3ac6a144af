"""From the `tools` of an agent's spec to a toolbox."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy.exc import SQLAlchemyError

from services.orchestrator.domain.passage import Retriever
from services.orchestrator.domain.tool import Tool, ToolPolicy
from services.orchestrator.tools import specs
from services.orchestrator.tools.builtin.calculator import Calculator
from services.orchestrator.tools.builtin.current_time import CurrentTime
from services.orchestrator.tools.builtin.http_get import HttpGet
from services.orchestrator.tools.builtin.python import Python
from services.orchestrator.tools.builtin.search import SearchTool
from services.orchestrator.tools.builtin.sql import Sql
from services.orchestrator.tools.config import ToolSettings
from services.orchestrator.tools.databases import ReadOnlyDatabase
from services.orchestrator.tools.grpc_methods import GrpcMethod, GrpcServer, GrpcTarget
from services.orchestrator.tools.mcp_tools import McpTool, tools_of
from services.orchestrator.tools.reflection import NotReflected
from services.orchestrator.tools.sandbox.runner import Sandbox, SandboxLimits, SandboxRefused
from services.orchestrator.tools.specs import Problem, ToolSpec
from services.orchestrator.tools.toolbox import Toolbox
from services.runtime.errors import InvalidArgument, Unavailable
from services.runtime.hosts import HostRule
from services.runtime.mcp.server import McpConfig, McpServer, ServerGone
from services.runtime.strict_yaml import dotted
from services.runtime.tls import TlsFiles

MAX_TOOLBOXES = 128
TOOLBOX_SECONDS = 300.0
# Of a toolbox that lacks the tools of a server that is gone.
PARTIAL_SECONDS = 5.0

log = logging.getLogger(__name__)


class BadTools(InvalidArgument):
    """The tools of a spec that cannot be had; the message names each place."""

    reason = "BAD_TOOLS"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{dotted(('tools', *path))}: {message}" for path, message in problems))
        self.problems = tuple(problems)


class ToolUnavailable(Unavailable):
    """What a tool needs is gone for now, so that it cannot even be told of."""

    reason = "TOOL_UNAVAILABLE"


class ToolFactory:
    """Makes toolboxes, and owns what their tools share: channels, MCP sessions, the sandbox. Nothing is opened before
    it is needed; toolboxes are kept for a while, so that a run does not pay for what the one before has paid."""

    def __init__(
        self, retriever: Retriever, settings: ToolSettings | None = None, mesh: Mapping[str, str] | None = None,
        tls: TlsFiles | None = None,
    ) -> None:  # fmt: skip
        """`mesh`: the targets of the mesh's own services, by name; `tls` what they are shown."""
        self._settings = settings or ToolSettings()
        self._retriever = retriever
        targets = {name: GrpcTarget(target, mesh=True) for name, target in (mesh or {}).items()}
        for name, one in self._settings.grpc.items():
            targets[name] = GrpcTarget(one.target, one.mesh, one.tls, tuple(one.metadata.items()))
        self._grpc = {name: GrpcServer(target, tls if target.mesh else None) for name, target in targets.items()}
        self._mcp = {
            name: McpServer(name, McpConfig(**one.model_dump(exclude={"optional"})))
            for name, one in self._settings.mcp.items()
        }
        self._sandbox = Sandbox(self._settings.python.concurrency)
        self._sandbox_works = False
        self._toolboxes: OrderedDict[bytes, tuple[float, Toolbox]] = OrderedDict()

    def check(self, entries: Sequence[Any]) -> list[Problem]:
        """What is wrong with the `tools` of a spec, as far as it can be known without asking anybody."""
        parsed, problems = specs.parse(entries)
        for number, spec in parsed:
            problems += [((number, *path), message) for path, message in self._check(spec)]
        return problems

    async def open(self, entries: Sequence[Any]) -> Toolbox:
        """The tools of a spec. Raises BadTools, and ToolUnavailable where a server cannot be asked for its tools."""
        key = orjson.dumps(list(entries), option=orjson.OPT_SORT_KEYS)
        kept = self._toolboxes.get(key)
        if kept is not None and kept[0] > time.monotonic():
            return kept[1]
        toolbox, whole = await self._open(entries)
        self._toolboxes[key] = (time.monotonic() + (TOOLBOX_SECONDS if whole else PARTIAL_SECONDS), toolbox)
        self._toolboxes.move_to_end(key)
        if len(self._toolboxes) > MAX_TOOLBOXES:
            self._toolboxes.popitem(last=False)
        return toolbox

    async def aclose(self) -> None:
        """Close all that was opened. Calls under way fail."""
        self._toolboxes.clear()
        closing = [server.aclose() for server in self._mcp.values()]
        closing += [server.aclose() for server in self._grpc.values()]
        await asyncio.gather(*closing, return_exceptions=True)

    async def _open(self, entries: Sequence[Any]) -> tuple[Toolbox, bool]:
        """The tools, and whether they are all: not so where a server is gone that is optional."""
        problems = self.check(entries)
        if problems:
            raise BadTools(problems)
        parsed, _ = specs.parse(entries)
        made = [(number, spec, await self._made(number, spec)) for number, spec in parsed]
        policies = _named_once([(number, spec, tools) for number, spec, tools in made if tools is not None])
        try:
            toolbox = Toolbox([tool for _, _, tools in made for tool in tools or ()], policies)
        except ValueError as error:
            raise BadTools([((), str(error))]) from error
        return toolbox, all(tools is not None for _, _, tools in made)

    async def _made(self, number: int, spec: ToolSpec) -> list[Tool] | None:
        """The tools of an entry; None of a server that is gone and optional. Raises BadTools, ToolUnavailable."""
        try:
            return await self._tools(spec)
        except ValueError as error:
            raise BadTools([((number,), str(error))]) from error
        except (ServerGone, NotReflected, SandboxRefused) as error:
            if not (isinstance(error, ServerGone) and self._optional(spec)):
                raise ToolUnavailable(f"tools[{number}]: {error}") from error
            log.warning("an agent runs without tools", extra={"entry": number, "why": str(error)})
            return None

    def _optional(self, spec: ToolSpec) -> bool:
        if not isinstance(spec, specs.McpSpec):
            return False
        return self._settings.mcp[spec.mcp].optional if spec.optional is None else spec.optional

    def _check(self, spec: ToolSpec) -> list[Problem]:
        match spec:
            case specs.HttpGetSpec(hosts=hosts):
                ceiling = [HostRule.parse(one) for one in self._settings.http.hosts]
                wrong = [one for one in hosts if not any(rule.covers(HostRule.parse(one)) for rule in ceiling)]
                return [(("hosts",), f"{one} is not within what the operator allows") for one in wrong]
            case specs.SqlSpec(database=name):
                return _named(name, self._settings.databases, "database", "database") or self._check_tables(spec)
            case specs.GrpcSpec(target=name):
                return _named(name, self._grpc, "target", "gRPC target")
            case specs.McpSpec(mcp=name):
                return _named(name, self._mcp, "mcp", "MCP server")
            case specs.PythonSpec():
                return self._check_python(spec)
        return []

    def _check_tables(self, spec: specs.SqlSpec) -> list[Problem]:
        allowed = self._settings.databases[spec.database].tables
        wrong = [name for name in spec.tables if allowed and name not in allowed]
        return [(("tables",), f"the operator does not allow the table {name!r}") for name in wrong]

    def _check_python(self, spec: specs.PythonSpec) -> list[Problem]:
        most = self._settings.python
        problems: list[Problem] = []
        if not most.enabled:
            problems.append(((), "the operator has switched python off"))
        if spec.memory_mib > most.max_memory_mib:
            problems.append((("memory_mib",), f"the operator allows {most.max_memory_mib}"))
        if spec.seconds > most.max_seconds:
            problems.append((("seconds",), f"the operator allows {most.max_seconds:g}"))
        return problems

    async def _tools(self, spec: ToolSpec) -> list[Tool]:
        """Raises ValueError, ServerGone, NotReflected, SandboxRefused."""
        match spec:
            case specs.SearchSpec():
                return [SearchTool(self._retriever)]
            case specs.CalculatorSpec():
                return [Calculator()]
            case specs.CurrentTimeSpec():
                return [CurrentTime()]
            case specs.HttpGetSpec(hosts=hosts):
                http = self._settings.http
                private = [HostRule.parse(one) for one in http.private_hosts]
                rules = [HostRule.parse(one) for one in hosts]
                return [HttpGet(rules, private=private, max_bytes=http.max_bytes)]
            case specs.SqlSpec():
                return [await self._sql(spec)]
            case specs.PythonSpec():
                return [await self._python(spec)]
            case specs.GrpcSpec():
                method = GrpcMethod(
                    spec.grpc, spec.name, spec.description, spec.seconds_for_call * 0.95, spec.max_messages,
                    spec.max_bytes,
                )  # fmt: skip
                return [await self._grpc[spec.target].tool(method)]
            case specs.McpSpec(mcp=name, allow=allow):
                return list(await tools_of(self._mcp[name], () if "*" in allow else allow))
        raise ValueError(f"there is no tool for {type(spec).__name__}")

    async def _sql(self, spec: specs.SqlSpec) -> Sql:
        configured = self._settings.databases[spec.database]
        database = ReadOnlyDatabase(configured.url, spec.tables or configured.tables)
        try:
            described = await asyncio.to_thread(database.describe)
        except SQLAlchemyError as error:
            raise ServerGone(f"the database {spec.database} cannot be read") from error
        max_rows = min(spec.max_rows or configured.max_rows, configured.max_rows)
        return Sql(spec.name or "sql", database, described, max_rows, spec.seconds)

    async def _python(self, spec: specs.PythonSpec) -> Python:
        if not self._sandbox_works:
            await self._sandbox.run("pass", SandboxLimits())
            self._sandbox_works = True
        return Python(self._sandbox, SandboxLimits(spec.seconds, spec.memory_mib, spec.scratch_mib, spec.output))


def _named_once(made: Sequence[tuple[int, ToolSpec, Sequence[Tool]]]) -> dict[str, ToolPolicy]:
    """Each tool's policy by its name. Names that a spec says stand, those of servers give way. Raises BadTools."""
    policies: dict[str, ToolPolicy] = {}
    for number, spec, tools in sorted(made, key=lambda one: isinstance(one[1], specs.McpSpec)):
        for tool in tools:
            if isinstance(tool, McpTool):
                tool.avoid(policies)
            name = tool.declaration.name
            if name in policies:
                raise BadTools([((number,), f"there is a tool {name!r} already; set its name")])
            policies[name] = spec.policy
    return policies


def _named(name: str, known: Mapping[str, Any], field: str, what: str) -> list[Problem]:
    if name in known:
        return []
    return [((field,), f"the operator's settings have no {what} {name!r}; they have: {', '.join(known) or 'none'}")]
