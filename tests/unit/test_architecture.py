"""Dependencies point one way: what each module may import, and where the environment is read."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "services")
DOMAIN = (
    "services/orchestrator/runs", "services/orchestrator/rag", "services/orchestrator/agents/",
    "services/retrieval/ingest", "services/retrieval/search",
    "services/models/encoder.py", "services/control/topology",
    "services/runtime/language",
)  # fmt: skip
# The parts of the runtime that know nothing of the wire.
PURE = ("services.runtime.children", "services.runtime.errors", "services.runtime.language", "services.runtime.records")
# The one module that may know each engine's library; None where any one may.
ADAPTERS = {"tritonclient": "services/runtime/triton/wire.py", "qdrant_edge": None, "qdrant_client": None}
ENVIRONMENT = (
    "settings.py",
    "services/__init__.py",  # tells gRPC what to do when a process forks
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
        for imported in imports(name, tree):
            if within(imported, *PACKAGES) and not within(imported, own, "services.runtime") and imported != "services":
                yield f"{name} imports {imported}"


def wires_in_domain(root: Path) -> Iterator[str]:
    """Imports of gRPC, of protobuf, or of a part of the runtime other than the PURE ones, by a domain module."""
    for name, tree in modules(root):
        if name.startswith(DOMAIN):
            for imported in imports(name, tree):
                wire = within(imported, "grpc", "google.protobuf", "headworks") or "_pb2" in imported
                runtime = within(imported, "services.runtime") and not within(imported, *PURE)
                if wire or (runtime and imported != "services.runtime"):
                    yield f"{name} imports {imported}"


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


RULES = [wrong_directions, wires_in_domain, second_adapters, environment_reads, second_records_kits]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.__name__))
def test_the_project_keeps_the_rule(rule) -> None:  # type: ignore[no-untyped-def]  # any of RULES
    assert list(rule(ROOT)) == []


def test_there_is_something_to_look_at() -> None:
    names = [name for name, _ in modules(ROOT)]
    for service in ("gateway", "services/runtime", "services/orchestrator", "services/retrieval", "services/control"):
        assert any(name.startswith(f"{service}/") for name in names)
    for domain in DOMAIN:
        assert any(name.startswith(domain) for name in names), f"{domain} is gone: look again at DOMAIN"
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
    ("wires_in_domain", "services/orchestrator/runs/run.py", "import grpc"),
    ("wires_in_domain", "services/orchestrator/rag/pipeline.py", "from grpc.aio import Channel"),
    ("wires_in_domain", "services/retrieval/ingest/split.py", "from headworks.retrieval.v1 import passage_pb2"),
    ("wires_in_domain", "services/retrieval/search/fuse.py", "import headworks.type.v1.span_pb2 as span"),
    ("wires_in_domain", "services/control/topology.py", "from google.protobuf import json_format"),
    ("wires_in_domain", "services/models/encoder.py", "from services.runtime.channels import open_channel"),
    ("second_adapters", "services/models/triton.py", "from tritonclient.grpc import service_pb2"),
    ("second_adapters", "services/retrieval/store/zz.py", "import qdrant_edge"),
    ("environment_reads", "gateway/app.py", "import os\nos.environ['X']"),
    ("environment_reads", "services/control/app.py", "import os\nx = os.getenv('X')"),
    ("environment_reads", "services/control/app.py", "from os import environ"),
    ("second_records_kits", "gateway/audit/store.py", "from sqlalchemy.ext.asyncio import create_async_engine"),
    ("second_records_kits", "services/orchestrator/runs/records.py", "from sqlalchemy import create_engine, select"),
    ("second_records_kits", "services/control/app.py", "import sqlite3"),
]

GOOD = [
    ("gateway/app.py", "from gateway.openai import fields\nfrom services.runtime import call\nimport headworks.x_pb2"),
    ("services/orchestrator/runs/run.py", "from services.runtime.errors import DomainError\nfrom . import codec"),
    ("services/orchestrator/servicer.py", "import grpc\nfrom services.runtime.triton import TritonClient"),
    ("services/runtime/triton/wire.py", "from tritonclient.grpc import service_pb2"),
    ("services/retrieval/store/a.py", "import qdrant_edge"),
    ("services/retrieval/store/b.py", "from qdrant_client import models"),
    ("services/control/settings.py", "import os\nos.environ['X']"),
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
