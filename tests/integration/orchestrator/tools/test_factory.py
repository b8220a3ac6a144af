"""From a spec's `tools` to calls that are made."""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path

import mcp_types as types
import pytest

from services.orchestrator.domain.passage import Found, Passage
from services.orchestrator.domain.tool import NAME
from services.orchestrator.tools import config
from services.orchestrator.tools.config import ToolSettings
from services.orchestrator.tools.factory import BadTools, ToolFactory, ToolUnavailable
from services.orchestrator.tools.mcp_tools import McpTool
from services.runtime.mcp.server import McpConfig, McpServer
from tests.fakes.agents import FakeRetriever
from tests.fakes.serving import until
from tests.fakes.tools import CONTEXT, call

ROOT = Path(__file__).parents[4]
FOUND = Found((Passage("p1", "d1", "Cats", "file:///c", "Cats sleep.", 0, 0.5),))


@pytest.fixture
def settings(tmp_path: Path) -> ToolSettings:
    with closing(sqlite3.connect(tmp_path / "sales.db")) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    text = f"""
databases:
  sales: {{url: {{env: SALES}}, max_rows: 5}}
  gone: {{url: "sqlite:///{tmp_path}/gone.db"}}
mcp:
  test: {{command: ["{sys.executable}", -m, tests.fakes.mcp_server], cwd: "{ROOT}"}}
  gone: {{command: [/does/not/exist]}}
grpc:
  gone: {{target: "127.0.0.1:9"}}
"""
    path = tmp_path / "tools.yaml"
    path.write_text(text)
    return config.load(path, {"SALES": f"sqlite:///{tmp_path}/sales.db"})


@pytest.fixture
async def factory(settings: ToolSettings) -> AsyncIterator[ToolFactory]:
    made = ToolFactory(FakeRetriever(FOUND), settings)
    yield made
    await made.aclose()


async def test_a_spec_becomes_a_toolbox(factory: ToolFactory) -> None:
    entries = [
        "search",
        "calculator",
        {"tool": "sql", "database": "sales", "approval": True},
        {"tool": "python", "seconds": 5},
        {"mcp": "test", "allow": ["add"], "timeout": 20},
    ]
    toolbox = await factory.open(entries)
    assert [one.name for one in toolbox.declarations] == ["search", "calculator", "sql", "python", "test_add"]
    assert toolbox.policy("sql").approval
    calls = [
        call('{"query": "cats"}', "search", "1"),
        call('{"expression": "2*3"}', "calculator", "2"),
        call('{"query": "SELECT count(*) FROM orders"}', "sql", "3"),
        call('{"code": "print(6*7)"}', "python", "4"),
        call('{"a": 20, "b": 22}', "test_add", "5"),
    ]
    results = await asyncio.gather(*(toolbox.call(one, CONTEXT) for one in calls))
    assert [one.is_error for one in results] == [False] * 5, results
    assert "Cats sleep." in results[0].content
    assert [one.content for one in results[1::2]] == ["6", "42\n"]
    assert '"rows":[[0]]' in results[2].content
    assert results[4].content == "42"


async def test_a_toolbox_is_made_once(factory: ToolFactory) -> None:
    entries = ["calculator", {"tool": "sql", "database": "sales"}]
    assert await factory.open(entries) is await factory.open(list(entries))
    assert await factory.open(["calculator"]) is not await factory.open(entries)


async def test_two_tools_of_one_name_need_names(factory: ToolFactory) -> None:
    sql = {"tool": "sql", "database": "sales"}
    with pytest.raises(BadTools, match=r"tools\[1\]: there is a tool 'sql' already; set its name"):
        await factory.open([sql, sql])
    assert len(await factory.open([sql, {**sql, "name": "more_sql"}])) == 2


@pytest.mark.parametrize(
    "entry",
    [
        {"tool": "sql", "database": "gone"},
        {"mcp": "gone", "allow": ["*"]},
        {"grpc": "a.B/C", "target": "gone"},
    ],
)
async def test_what_cannot_be_asked_is_told(factory: ToolFactory, entry: dict[str, object]) -> None:
    with pytest.raises(ToolUnavailable, match=r"^tools\[0\]: "):
        await factory.open([entry])


async def test_a_tool_that_a_server_does_not_have(factory: ToolFactory) -> None:
    with pytest.raises(BadTools, match=r"tools\[0\]: the server has no tool 'nope'"):
        await factory.open([{"mcp": "test", "allow": ["nope"]}])


@pytest.mark.parametrize("way", ["by the operator", "by the agent"])
async def test_an_agent_runs_without_an_optional_server(way: str, tmp_path: Path) -> None:
    entry: dict[str, object] = {"mcp": "late", "allow": ["*"]}
    script = tmp_path / "late"
    late: dict[str, object] = {"command": (str(script),)}
    (late if way == "by the operator" else entry)["optional"] = True
    settings = ToolSettings.model_validate({"mcp": {"late": late}})
    made = ToolFactory(FakeRetriever(), settings)
    try:
        assert [one.name for one in (await made.open(["calculator", entry])).declarations] == ["calculator"]
        with pytest.raises(ToolUnavailable):
            await made.open(["calculator", {**entry, "optional": False}])
        script.write_text(f"#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m tests.fakes.mcp_server\n")
        script.chmod(0o755)

        async def there() -> bool:
            return "late_add" in await made.open(["calculator", entry])

        await until(there)
    finally:
        await made.aclose()


def tool_of(server: str, name: str) -> McpTool:
    schema = {"type": "object"}
    return McpTool(McpServer(server, McpConfig(command=("x",))), types.Tool(name=name, input_schema=schema))


@pytest.mark.parametrize(
    "tools",
    [
        [("a", "b_c"), ("a_b", "c")],
        [("a", "b.c"), ("a", "b c"), ("a", "b_c")],
        [("a", "x" * 70), ("a", "x" * 71)],
    ],
)
def test_names_that_servers_share_are_told_apart(tools: list[tuple[str, str]]) -> None:
    def named(order: Sequence[tuple[str, str]], *taken: str) -> dict[tuple[str, str], str]:
        names: dict[str, None] = dict.fromkeys(taken)
        found = {}
        for server, name in order:
            tool = tool_of(server, name)
            tool.avoid(names)
            names[tool.declaration.name] = None
            found[server, name] = tool.declaration.name
        return found

    found = named(tools)
    assert len(set(found.values())) == len(tools)
    assert all(NAME.fullmatch(name) for name in found.values())
    first = tools[0]
    assert named(tools, found[first])[first] == named([first], found[first])[first] != found[first]
