"""Dependencies point one way: what each module may import, without cycles, and where the environment is read."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "services")
DOMAIN = (
    "services/orchestrator/domain", "services/orchestrator/runs", "services/orchestrator/agents/",
    "services/retrieval/ingest", "services/retrieval/search",
    "services/models/encoder.py", "services/control/topology",
    "services/runtime/language",
    "services/llm/chat.py", "services/llm/generation.py", "services/llm/tokens.py", "services/llm/price.py",
    "services/llm/catalogue/", "services/llm/openai/answer.py", "services/llm/openai/chunks.py",
    "services/llm/openai/leaves.py", "services/llm/openai/request.py", "services/llm/wires/", "services/llm/faults.py",
)  # fmt: skip
# What every service may use, and what each of these may not: the runtime uses nothing of the model plane.
LIBRARIES = ("services.runtime", "services.llm")
# The parts of the model plane that reach out: a domain module asks a handle, and none of these.
REACHING = ("services.llm.client", "services.llm.triton", "services.llm.openai.engine", "services.llm.settings")
# The gateway's rooms that import no wire; and what in them is an adapter, a servicer or wiring.
ROOMS = (
    "gateway/audit/", "gateway/budgets/", "gateway/cache/", "gateway/calls/", "gateway/guard/", "gateway/identity/",
    "gateway/limits/", "gateway/mcp/", "gateway/policies/", "gateway/privacy/", "gateway/usage/",
)  # fmt: skip
WIRED = (
    "gateway/calls/agents.py", "gateway/calls/cached_answers.py", "gateway/calls/prompts.py",
    "gateway/calls/runs.py", "gateway/calls/run_request.py",
    "gateway/calls/run_answer.py",  # holds a run's events as they came: to convert them costs more than to screen them
    "gateway/calls/run_cached.py", "gateway/calls/documents.py", "gateway/cache/assembly.py",
    "gateway/guard/injection/triton.py",
    "gateway/privacy/assembly.py", "gateway/privacy/service_records.py",
)  # fmt: skip
# Packages that import no other package of their service.
LEAVES = ("services/orchestrator/domain",)
# The parts of the runtime that know nothing of the wire.
PURE = (
    "services.runtime.breaker",
    "services.runtime.children",
    "services.runtime.embedders",
    "services.runtime.errors",
    "services.runtime.fairness",
    "services.runtime.file_faults",
    "services.runtime.form_words",
    "services.runtime.json_schema",
    "services.runtime.labels",
    "services.runtime.language",
    "services.runtime.media_types",
    "services.runtime.numerals",
    "services.runtime.records",
    "services.runtime.reranker",
    "services.runtime.spelling",
    "services.runtime.strict_yaml",
    "services.runtime.templates",
    "services.runtime.time_limit",
    "services.runtime.tracing",
    "services.runtime.zips",
)
# The one module that may know each engine's library; None where any one may.
ADAPTERS = {"tritonclient": "services/runtime/triton/wire.py", "qdrant_edge": None, "qdrant_client": None}
ENVIRONMENT = (
    "settings.py",
    "services/__init__.py",  # tells gRPC what to do when a process forks
    "services/runtime/proxies.py",  # sees the proxies that gRPC goes by, and spares it one
    "services/orchestrator/tools/sandbox/launch.py",  # empties it
    "services/models/triton.py",  # hands its own on to the Triton that it starts
    "services/models/repository/",  # Triton starts these, and gives them nothing but its environment
)
# Who may open a database: the records kit; and the tool by which agents read the databases of others.
RECORDS = ("services/runtime/records/", "services/orchestrator/tools/databases.py")
ENGINES = ("create_engine", "create_async_engine", "async_engine_from_config", "engine_from_config", "create_pool")
DRIVERS = ("sqlite3", "aiosqlite", "asyncpg", "psycopg")


def modules(root: Path) -> Iterator[tuple[str, ast.Module]]:
    """Every module of the packages, by its path."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            yield path.relative_to(root).as_posix(), ast.parse(path.read_text("utf-8"))


def imports(name: str, tree: ast.Module) -> Iterator[str]:
    """The full names of all that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            folder = name.split("/")[: -node.level] if node.level else []
            base = ".".join([*folder, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def within(imported: str, *packages: str) -> bool:
    return any(imported == package or imported.startswith(f"{package}.") for package in packages)


def wrong_directions(root: Path) -> Iterator[str]:
    """Imports of another service's code."""
    for name, tree in modules(root):
        parts = name.split("/")
        own = "gateway" if parts[0] == "gateway" else f"services.{parts[1].removesuffix('.py')}"
        allowed = (own,) if own == "services.runtime" else (own, *LIBRARIES)
        for imported in imports(name, tree):
            if within(imported, *PACKAGES) and not within(imported, *allowed) and imported != "services":
                yield f"{name} imports {imported}"


def wires_in_domain(root: Path) -> Iterator[str]:
    """Imports of gRPC, of protobuf, of a part of the runtime other than the PURE ones, or of a part of the model plane
    that is REACHING out, by a domain module."""
    for name, tree in modules(root):
        if name.startswith(DOMAIN):
            for imported in imports(name, tree):
                wire = within(imported, "grpc", "google.protobuf", "headworks") or "_pb2" in imported
                runtime = within(imported, "services.runtime") and not within(imported, *PURE)
                if wire or within(imported, *REACHING) or (runtime and imported != "services.runtime"):
                    yield f"{name} imports {imported}"


def wires_in_rooms(root: Path) -> Iterator[str]:
    """Imports of gRPC or of protobuf by a room of the gateway."""
    for name, tree in modules(root):
        if name.startswith(ROOMS) and not name.startswith(WIRED):
            for imported in imports(name, tree):
                if within(imported, "grpc", "google.protobuf", "google.api", "headworks") or "_pb2" in imported:
                    yield f"{name} imports {imported}"


def rooms_below_leaves(root: Path) -> Iterator[str]:
    """Imports by a leaf of another package of its service."""
    for name, tree in modules(root):
        for leaf in LEAVES:
            if name.startswith(f"{leaf}/"):
                own, unit = leaf.replace("/", "."), unit_of(name).replace("/", ".")
                yield from (
                    f"{name} imports {i}" for i in imports(name, tree) if within(i, unit) and not within(i, own)
                )


def unit_of(name: str) -> str:
    """The gateway, or a service: what a module is part of."""
    parts = name.split("/")
    return parts[0] if parts[0] == "gateway" else "/".join(parts[:2])


def cycles(root: Path) -> Iterator[str]:
    """Packages of the gateway, or of one service, that import each other in a circle. A package is a first folder or a
    module beside those: settings and metrics stand below the rooms, the composition root above them."""
    imported_by: dict[tuple[str, str], set[str]] = {}
    for name, tree in modules(root):
        unit = unit_of(name)
        package = name.removeprefix(f"{unit}/").split("/")[0].removesuffix(".py")
        edges = imported_by.setdefault((unit, package), set())
        prefix = unit.replace("/", ".") + "."
        edges |= {each.removeprefix(prefix).split(".")[0] for each in imports(name, tree) if each.startswith(prefix)}
    for unit in sorted({unit for unit, _ in imported_by}):
        below = {package: edges - {package} for (of, package), edges in imported_by.items() if of == unit}
        reached = {package: reachable(below, package) for package in below}
        found = {
            frozenset(other for other in reached if other in reached[package] and package in reached[other])
            for package in reached
            if package in reached[package]
        }
        yield from sorted(f"{unit}: {', '.join(sorted(circle))}" for circle in found)


def reachable(below: Mapping[str, set[str]], start: str) -> set[str]:
    """All that is imported by a package, by what that imports, and so on."""
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        new = below.get(ahead.pop(), set()) - seen
        seen |= new
        ahead += new
    return seen


def second_adapters(root: Path) -> Iterator[str]:
    """Modules that import an engine's library beside the one that may."""
    for library, adapter in ADAPTERS.items():
        users = [name for name, tree in modules(root) if any(within(i, library) for i in imports(name, tree))]
        allowed = [adapter] if adapter else users[:1]
        yield from (f"{name} imports {library}" for name in users if name not in allowed)


def environment_reads(root: Path) -> Iterator[str]:
    """Reads of the environment outside of settings."""
    for name, tree in modules(root):
        if name.endswith("settings.py") or name.startswith(ENVIRONMENT):
            continue
        for node in ast.walk(tree):
            reads = isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv")
            taken = isinstance(node, ast.ImportFrom) and node.module == "os" and any(
                alias.name in ("environ", "environb", "getenv") for alias in node.names
            )  # fmt: skip
            if reads or taken:
                yield f"{name}:{getattr(node, 'lineno', 0)} reads the environment"


def second_records_kits(root: Path) -> Iterator[str]:
    """Engines, and connections to a database, that are not the records kit's."""
    for name, tree in modules(root):
        if name.startswith(RECORDS):
            continue
        for imported in imports(name, tree):
            engine = within(imported, "sqlalchemy") and imported.rpartition(".")[2] in ENGINES
            if engine or within(imported, *DRIVERS):
                yield f"{name} imports {imported}"


def ambient_calls(root: Path) -> Iterator[str]:
    """Modules of the gateway that look up the call being served, which they are given."""
    for name, tree in modules(root):
        if name.startswith("gateway/"):
            yield from (
                f"{name} imports {i}" for i in imports(name, tree) if within(i, "services.runtime.call.current")
            )


RULES = [
    wrong_directions, wires_in_domain, wires_in_rooms, rooms_below_leaves, second_adapters, environment_reads,
    second_records_kits, ambient_calls,
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.__name__))
def test_the_project_keeps_the_rule(rule) -> None:  # type: ignore[no-untyped-def]  # any of RULES
    assert list(rule(ROOT)) == []


def test_there_are_no_cycles() -> None:
    assert list(cycles(ROOT)) == []


def test_there_is_something_to_look_at() -> None:
    names = [name for name, _ in modules(ROOT)]
    services = ("runtime", "llm", "orchestrator", "retrieval", "control")
    for service in ("gateway", *(f"services/{name}" for name in services)):
        assert any(name.startswith(f"{service}/") for name in names)
    for place in (*DOMAIN, *ROOMS, *WIRED, *LEAVES):
        assert any(name.startswith(place) for name in names), f"{place} is gone: look again at the lists"
    for library in ADAPTERS:
        assert any(within(one, library) for name, tree in modules(ROOT) for one in imports(name, tree))


BAD = [
    ("wrong_directions", "gateway/app.py", "from services.orchestrator.runs import run"),
    ("wrong_directions", "gateway/app.py", "def f():\n    import services.retrieval.app"),
    ("wrong_directions", "gateway/app.py", "from services import retrieval"),
    ("wrong_directions", "services/orchestrator/app.py", "from services.retrieval.model import Span"),
    ("wrong_directions", "services/orchestrator/app.py", "import gateway"),
    ("wrong_directions", "services/orchestrator/runs/run.py", "from ...retrieval import model"),
    ("wrong_directions", "services/runtime/server.py", "from services.control import topology"),
    ("wrong_directions", "services/runtime/server.py", "from gateway.identity import keys"),
    ("wrong_directions", "services/runtime/server.py", "from services.llm import tokens"),
    ("wrong_directions", "services/llm/handle.py", "from services.orchestrator.runs import run"),
    ("wrong_directions", "services/llm/handle.py", "import gateway.calls"),
    ("wires_in_domain", "services/orchestrator/runs/run.py", "import grpc"),
    ("wires_in_domain", "services/orchestrator/agents/loop/loop.py", "from services.llm.client import HttpClient"),
    ("wires_in_domain", "services/orchestrator/agents/loop/loop.py", "from services.llm.triton import protocol"),
    ("wires_in_domain", "services/orchestrator/domain/event.py", "from grpc.aio import Channel"),
    ("wires_in_domain", "services/retrieval/ingest/split.py", "from headworks.retrieval.v1 import passage_pb2"),
    ("wires_in_domain", "services/retrieval/search/fuse.py", "import headworks.type.v1.span_pb2 as span"),
    ("wires_in_domain", "services/control/topology.py", "from google.protobuf import json_format"),
    ("wires_in_domain", "services/models/encoder.py", "from services.runtime.channels import open_channel"),
    ("wires_in_rooms", "gateway/limits/model.py", "from headworks.gateway.v1 import rate_limit_pb2"),
    ("wires_in_rooms", "gateway/privacy/retention.py", "import grpc"),
    ("rooms_below_leaves", "services/orchestrator/domain/tool.py", "from services.orchestrator.runs import run"),
    ("second_adapters", "services/models/triton.py", "from tritonclient.grpc import service_pb2"),
    ("second_adapters", "services/retrieval/store/zz.py", "import qdrant_edge"),
    ("environment_reads", "gateway/app.py", "import os\nos.environ['X']"),
    ("environment_reads", "services/control/app.py", "import os\nx = os.getenv('X')"),
    ("environment_reads", "services/control/app.py", "from os import environ"),
    ("wires_in_rooms", "gateway/calls/pipeline.py", "from headworks.orchestrator.v1 import run_event_pb2"),
    ("ambient_calls", "gateway/faces/native/forward.py", "from services.runtime.call import current, outgoing"),
    ("second_records_kits", "gateway/audit/store.py", "from sqlalchemy.ext.asyncio import create_async_engine"),
    ("second_records_kits", "services/orchestrator/runs/records.py", "from sqlalchemy import create_engine, select"),
    ("second_records_kits", "services/control/app.py", "import sqlite3"),
]

GOOD = [
    ("gateway/app.py", "from gateway.faces import http\nfrom services.runtime import call\nimport headworks.x_pb2"),
    ("services/orchestrator/runs/run.py", "from services.runtime.errors import DomainError\nfrom . import codec"),
    ("services/orchestrator/servicers/runs.py", "import grpc\nfrom services.runtime.triton import TritonClient"),
    ("services/runtime/triton/wire.py", "from tritonclient.grpc import service_pb2"),
    ("gateway/guard/injection/triton.py", "import grpc"),
    ("services/retrieval/store/a.py", "import qdrant_edge"),
    ("services/retrieval/store/b.py", "from qdrant_client import models"),
    ("services/control/settings.py", "import os\nos.environ['X']"),
    ("gateway/calls/bare_answer.py", "from services.llm.openai import words"),
    ("services/models/llm/service.py", "from services.llm.triton import protocol"),
    ("services/llm/client.py", "from services.runtime.errors import DomainError\nfrom services.llm import errors"),
    ("services/orchestrator/agents/work.py", "from services.llm.handle import ModelHandle"),
    ("services/runtime/records/engine.py", "import sqlite3\nfrom sqlalchemy.ext.asyncio import create_async_engine"),
    ("gateway/usage/store.py", "from sqlalchemy import select\nfrom sqlalchemy.ext.asyncio import AsyncConnection"),
]


def tree_of(root: Path, files: list[tuple[str, str]]) -> Path:
    for name, content in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.mark.parametrize(("rule", "name", "content"), BAD)
def test_what_breaks_a_rule_is_found(tmp_path: Path, rule: str, name: str, content: str) -> None:
    root = tree_of(tmp_path, [*(good for good in GOOD if good[0] != name), (name, content)])
    found = {each.__name__: list(each(root)) for each in RULES}
    assert len(found.pop(rule)) == 1
    if rule not in ("wires_in_domain", "second_adapters"):
        assert not any(found.values())


def test_what_keeps_the_rules_is_left_alone(tmp_path: Path) -> None:
    root = tree_of(tmp_path, GOOD)
    assert [broken for rule in RULES for broken in rule(root)] == []


CIRCLES = [
    (
        [("gateway/a/x.py", "from gateway.b.y import z"), ("gateway/b/y.py", "def f():\n    from gateway.a import x")],
        ["gateway: a, b"],
    ),
    (
        [
            ("services/one/a/x.py", "from services.one.b import y"),
            ("services/one/b/y.py", "import services.one.convert"),
            ("services/one/convert.py", "from services.one.a.x import Z"),
            ("services/one/app.py", "from services.one.a import x"),
        ],
        ["services/one: a, b, convert"],
    ),
    (
        [
            ("gateway/a/x.py", "from gateway.b import y"),
            ("gateway/b/y.py", "from ..a import x"),
            ("gateway/c/x.py", "from gateway.d import y\nfrom gateway.a import x"),
            ("gateway/d/y.py", "from gateway import c"),
        ],
        ["gateway: a, b", "gateway: c, d"],
    ),
    (
        [
            ("gateway/a/x.py", "from gateway.a import y\nfrom gateway import settings"),
            ("gateway/a/y.py", "from gateway.a import x"),
            ("gateway/app.py", "from gateway.a import x"),
            ("gateway/settings.py", "from services.runtime import settings"),
            ("services/runtime/settings.py", ""),
        ],
        [],
    ),
]


@pytest.mark.parametrize(("files", "found"), CIRCLES)
def test_cycles_are_found(tmp_path: Path, files: list[tuple[str, str]], found: list[str]) -> None:
    assert list(cycles(tree_of(tmp_path, files))) == found
