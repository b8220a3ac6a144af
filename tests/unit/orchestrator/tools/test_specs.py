"""What may stand in a spec's `tools` and in the operator's file, and how mistakes are told."""

from typing import Any

import pytest

from services.orchestrator.domain.tool import ToolPolicy
from services.orchestrator.tools import config, specs
from services.orchestrator.tools.config import BadToolSettings, ToolSettings
from services.orchestrator.tools.factory import BadTools, ToolFactory
from tests.fakes.agents import FakeRetriever

FILE = """
http:
  hosts: [example.com, "*.example.org", "http://intern.test:8080"]
  private_hosts: ["http://intern.test:8080"]
databases:
  sales:
    url: {env: SALES_URL}
    tables: [orders]
mcp:
  files:
    command: [files-server, --root, /data]
    env: {TOKEN: {env: FILES_TOKEN}}
  web: {url: "https://mcp.example.com/mcp", headers: {authorization: {env: WEB_KEY}}}
grpc:
  shop: {target: "dns:///shop:50051", tls: true, metadata: {x-key: {env: WEB_KEY}}}
python: {max_seconds: 20}
"""
ENVIRONMENT = {"SALES_URL": "sqlite:////data/sales.db", "FILES_TOKEN": "t", "WEB_KEY": "k"}


def settings() -> ToolSettings:
    return config.parse(FILE, ENVIRONMENT)


def factory() -> ToolFactory:
    return ToolFactory(FakeRetriever(), settings(), {"retrieval": "xds:///retrieval"})


def test_the_operators_file() -> None:
    made = settings()
    assert made.databases["sales"].url == "sqlite:////data/sales.db"
    assert made.mcp["files"].command == ("files-server", "--root", "/data")
    assert made.mcp["files"].env == {"TOKEN": "t"}
    assert made.mcp["web"].headers == {"authorization": "k"}
    assert made.grpc["shop"].metadata == {"x-key": "k"}
    assert config.parse("", {}) == ToolSettings()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "databases:\n  sales:\n    url: {env: NOPE}",
            "tools.yaml:3: databases.sales.url: the variable NOPE is not set",
        ),
        (
            "databases:\n  sales: {url: 'mysql://a:secret@b/c'}",
            "tools.yaml:2: databases.sales.url: databases are sqlite",
        ),
        ("databases:\n  sales: {url: 'a secret'}", "databases.sales.url: not an SQLAlchemy URL"),
        ("mcp:\n  a b: {url: 'http://x'}", "'a b' is no name"),
        ("mcp:\n  a: {}", "tools.yaml:2: mcp.a: an MCP server has a command or a url"),
        ("mcp:\n  a: {command: [x], url: 'http://x'}", "mcp.a: an MCP server has a command or a url"),
        ("mcp:\n  a: {command: [x], headers: {y: z}}", "headers belong to a url"),
        ("http:\n  hosts: ['a b']", "tools.yaml:2: http.hosts: 'a b' is no host"),
        ("grpc:\n  s:\n    target: x\n    mesh: true\n    tls: true", "takes the caller's identity"),
        ("grpc:\n  s: {target: x, metadata: {X-Key: y}}", "'X-Key' is no key of metadata"),
        ("python:\n  enabled: maybe", "tools.yaml:2: python.enabled"),
        ("nope: 1", "tools.yaml:1: nope: there is no such field"),
        ("http: [", "not YAML"),
        ("- a", "mapping"),
    ],
)
def test_a_mistake_in_the_operators_file_is_told_by_line_and_field(text: str, words: str) -> None:
    with pytest.raises(BadToolSettings) as caught:
        config.parse(text, {})
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


GOOD: list[Any] = [
    "search", "calculator", "current_time",
    {"tool": "http_get", "hosts": ["example.com", "a.example.org", "http://intern.test:8080"], "timeout": 5},
    {"tool": "sql", "database": "sales", "tables": ["orders"], "attempts": 2},
    {"tool": "python", "memory_mib": 128, "seconds": 5, "max_calls": 3},
    {"grpc": "headworks.retrieval.v1.RetrievalService/ListCollections", "target": "retrieval", "approval": True},
    {"grpc": "shop.v1.Shop/Buy", "target": "shop"},
    {"mcp": "files", "allow": ["read_file"]},
]  # fmt: skip


def test_good_entries() -> None:
    parsed, problems = specs.parse(GOOD)
    assert problems == []
    assert factory().check(GOOD) == []
    policies = [spec.policy for _, spec in parsed]
    assert policies[3] == ToolPolicy(timeout=5)
    assert (policies[4].attempts, policies[5].max_calls, policies[6].approval) == (2, 3, True)
    assert policies[5].timeout > 5


@pytest.mark.parametrize(
    ("entry", "path", "words"),
    [
        ("nope", (), "there is no tool 'nope'"),
        ({"tool": "nope"}, (), "there is no tool 'nope'"),
        (7, (), "a tool is a name, or a mapping"),
        ({}, (), "one of tool, grpc and mcp"),
        ({"tool": "search", "mcp": "files"}, (), "one of tool, grpc and mcp"),
        ({"tool": "search", "timeout": -1}, ("timeout",), "greater than 0"),
        ({"tool": "search", "timeuot": 1}, ("timeuot",), "there is no such field; did you mean timeout?"),
        ("calculater", (), "there is no tool 'calculater'; did you mean calculator?"),
        ("http_get", ("hosts",), "is missing"),
        ({"tool": "http_get", "hosts": ["*"]}, ("hosts",), "a spec names its hosts"),
        ({"tool": "http_get", "hosts": ["a b"]}, ("hosts",), "no host"),
        ({"tool": "http_get", "hosts": ["other.com"]}, ("hosts",), "other.com is not within"),
        ({"tool": "http_get", "hosts": ["http://example.com"]}, ("hosts",), "not within"),
        ({"tool": "sql", "database": "hr"}, ("database",), "no database 'hr'; they have: sales"),
        ({"tool": "sql", "database": "sales", "tables": ["people"]}, ("tables",), "does not allow the table 'people'"),
        ({"tool": "python", "seconds": 30}, ("seconds",), "the operator allows 20"),
        ({"tool": "python", "memory_mib": 99999}, ("memory_mib",), "the operator allows 1024"),
        ({"grpc": "Buy", "target": "shop"}, ("grpc",), "package.Service/Method"),
        ({"grpc": "shop.v1.Shop/Buy", "target": "x"}, ("target",), "no gRPC target 'x'; they have: retrieval, shop"),
        ({"mcp": "files"}, ("allow",), "is missing"),
        ({"mcp": "nope", "allow": ["*"]}, ("mcp",), "no MCP server 'nope'"),
        ({"mcp": "files", "allow": ["*"], "command": ["sh"]}, ("command",), "there is no such field"),
    ],
)
async def test_a_wrong_entry_is_told_by_its_place(entry: Any, path: tuple[str, ...], words: str) -> None:
    problems = factory().check(["search", entry])
    assert [place for place, _ in problems] == [(1, *path)]
    assert words in problems[0][1]
    with pytest.raises(BadTools) as caught:
        await factory().open(["search", entry])
    assert caught.value.message.startswith(".".join(["tools[1]", *path]) + ": ")
