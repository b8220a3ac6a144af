"""MCP servers, real ones, over stdio and HTTP."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from services.orchestrator.domain.tool import Reason, ToolPolicy, ToolResult
from services.orchestrator.tools.mcp_tools import tools_of
from services.orchestrator.tools.toolbox import Toolbox
from services.runtime.mcp.server import McpConfig, McpServer, ServerGone
from tests.fakes.serving import until
from tests.fakes.tools import CONTEXT, call

ROOT = Path(__file__).parents[4]
STDIO = McpConfig((sys.executable, "-m", "tests.fakes.mcp_server"), {"MCP_GIVEN": "given"}, cwd=str(ROOT))


@asynccontextmanager
async def opened(config: McpConfig) -> AsyncIterator[McpServer]:
    server = McpServer("test", config)
    try:
        yield server
    finally:
        await server.aclose()


@asynccontextmanager
async def over_http(port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """The server in a process of its own, answering at the port."""
    nothing = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.mcp_server", "http", str(port), cwd=ROOT, stdout=nothing, stderr=nothing
    )
    try:
        await until(lambda: _answers(port), 30)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(params=["stdio", "http"])
async def server(request: pytest.FixtureRequest, port: int) -> AsyncIterator[McpServer]:
    if request.param == "stdio":
        async with opened(STDIO) as made:
            yield made
    else:
        async with over_http(port), opened(McpConfig(url=f"http://127.0.0.1:{port}/mcp")) as made:
            yield made


async def box(server: McpServer, timeout: float = 20) -> Toolbox:
    tools = await tools_of(server)
    return Toolbox(tools, {tool.declaration.name: ToolPolicy(timeout=timeout) for tool in tools})


async def ask(toolbox: Toolbox, name: str, **arguments: Any) -> ToolResult:
    return await toolbox.call(call(orjson.dumps(arguments).decode(), f"test_{name}"), CONTEXT)


async def test_its_tools_are_declared(server: McpServer) -> None:
    declared = {one.name: one for one in (await box(server)).declarations}
    assert {"test_add", "test_shout", "test_hang"} <= set(declared)
    assert declared["test_add"].description == "Adds two numbers."
    assert declared["test_add"].parameters["required"] == ["a", "b"]
    (add, shout) = await tools_of(server, ["add", "shout"])
    assert (add.idempotent, shout.idempotent) == (True, False)
    with pytest.raises(ValueError, match="no tool 'nope'"):
        await tools_of(server, ["nope"])


async def test_its_tools_are_called(server: McpServer) -> None:
    toolbox = await box(server)
    assert (await ask(toolbox, "add", a=1, b=2)).content == "3"
    assert (await ask(toolbox, "shout", text="hi")).content == "HI"
    results = await asyncio.gather(*(ask(toolbox, "add", a=n, b=1) for n in range(8)))
    assert [one.content for one in results] == [str(n + 1) for n in range(8)]


async def test_wrong_arguments_never_reach_it(server: McpServer) -> None:
    result = await ask(await box(server), "add", a="one")
    assert (result.error_reason, result.attempts) == (Reason.INVALID_ARGUMENTS, 0)


async def test_what_fails_there_is_told(server: McpServer) -> None:
    result = await ask(await box(server), "fail")
    assert (result.is_error, result.error_reason) == (True, Reason.FAILED)
    assert "fail" in result.content


async def test_an_image_is_refused_with_words(server: McpServer) -> None:
    result = await ask(await box(server), "picture")
    assert result.content == "[an image was left out: image/png, 8 bytes; only text is taken]"


async def test_a_large_result_is_cut(server: McpServer) -> None:
    result = await ask(await box(server), "large")
    assert result.truncated, result
    assert len(result.content) < 21_000


async def test_a_tool_that_hangs_does_not_hold_the_others(server: McpServer) -> None:
    toolbox = await box(server, timeout=0.5)
    for _ in range(2):
        late, good = await asyncio.gather(ask(toolbox, "hang"), ask(await box(server), "add", a=1, b=2))
        assert late.error_reason == Reason.TIMEOUT
        assert good.content == "3"


async def test_a_server_that_dies_during_a_call_is_an_error_and_comes_back() -> None:
    async with opened(STDIO) as server:
        toolbox = await box(server)
        before = orjson.loads((await ask(toolbox, "whoami")).content)["pid"]
        hanging = asyncio.create_task(ask(toolbox, "hang"))
        died = await ask(toolbox, "die")
        assert died.error_reason == Reason.UNAVAILABLE
        assert "died during the call" in died.content
        assert (await hanging).error_reason == Reason.UNAVAILABLE
        after = orjson.loads((await ask(toolbox, "whoami")).content)["pid"]
        assert before != after


async def test_a_server_over_http_that_dies_comes_back(port: int) -> None:
    async with opened(McpConfig(url=f"http://127.0.0.1:{port}/mcp")) as server:
        async with over_http(port):
            toolbox = await box(server)
            assert (await ask(toolbox, "die")).error_reason == Reason.UNAVAILABLE
        gone = await ask(toolbox, "add", a=1, b=2)
        assert gone.error_reason == Reason.UNAVAILABLE
        assert "down" in (await ask(toolbox, "add", a=1, b=2)).content  # not tried again at once

        async def works() -> bool:
            return (await ask(toolbox, "add", a=1, b=2)).content == "3"

        async with over_http(port):
            await until(works, 20)
            assert {tool.declaration.name for tool in await tools_of(server, ["add"])} == {"test_add"}


async def test_a_server_that_answers_nobody_is_opened_anew() -> None:
    async with opened(STDIO) as server:
        toolbox = await box(server, timeout=0.2)
        patient = await box(server)
        before = (await ask(patient, "whoami")).content
        for _ in range(3):
            assert (await ask(toolbox, "hang")).error_reason == Reason.TIMEOUT
        assert (await ask(patient, "whoami")).content != before


async def test_the_process_gets_what_it_is_given_and_ends_with_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_SECRET", "hush")
    async with opened(STDIO) as server:
        told = orjson.loads((await ask(await box(server), "whoami")).content)
        assert (told["MCP_GIVEN"], told["MCP_SECRET"]) == ("given", "")
        assert told["pid"] == told["group"] != str(psutil.Process().pid)
        assert psutil.pid_exists(int(told["pid"]))
    assert not psutil.pid_exists(int(told["pid"]))


async def test_a_message_without_measure_ends_the_session_and_no_more() -> None:
    async with opened(STDIO) as server:
        toolbox = await box(server)
        assert (await ask(toolbox, "huge")).error_reason == Reason.UNAVAILABLE
        assert (await ask(toolbox, "add", a=1, b=2)).content == "3"


async def test_what_the_server_leaves_behind_is_ended_too() -> None:
    async with opened(STDIO) as server:
        child = int((await ask(await box(server), "leave_a_child")).content)
        assert psutil.pid_exists(child)
    await until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


async def test_it_can_be_closed_from_any_task() -> None:
    server = McpServer("test", STDIO)
    toolbox = await asyncio.create_task(box(server))
    hanging = asyncio.create_task(ask(toolbox, "hang"))
    told = orjson.loads((await ask(toolbox, "whoami")).content)
    await asyncio.create_task(server.aclose())
    assert (await hanging).error_reason == Reason.UNAVAILABLE
    assert not psutil.pid_exists(int(told["pid"]))


@pytest.mark.parametrize(
    "config",
    [
        McpConfig(("/does/not/exist",)),
        McpConfig((sys.executable, "-c", "raise SystemExit(1)")),
        McpConfig((sys.executable, "-c", "import time; time.sleep(60)"), start_seconds=0.5),
        McpConfig((sys.executable, "-c", "print('not JSON'); import time; time.sleep(60)"), start_seconds=0.5),
        McpConfig(url="http://127.0.0.1:9/mcp"),
    ],
    ids=["no such command", "ends at once", "says nothing", "says something else", "nobody there"],
)
async def test_a_server_that_does_not_start(config: McpConfig) -> None:
    before = len(psutil.Process().children())
    async with opened(config) as server:
        for _ in range(2):
            with pytest.raises(ServerGone):
                await server.tools()
        with pytest.raises(ServerGone, match="it is tried again in"):
            await server.call("add", {})
    assert len(psutil.Process().children()) == before


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("/bin/sh", "-c", "exit 3"), "/bin/sh exited with code 3"),
        (("/bin/sh", "-c", "echo no JSON; exit 4"), "/bin/sh exited with code 4"),
        (("/bin/sh", "-c", "exit 0"), "/bin/sh exited with code 0"),
        (("/bin/sh", "-c", "read line; exit 5"), "/bin/sh exited with code 5"),
        (("/bin/sh", "-c", "sleep 60"), "the handshake took longer than 1 seconds"),
        (("/no/such/command",), "No such file or directory"),
    ],
)
async def test_why_a_server_does_not_start_is_said_and_logged(
    command: tuple[str, ...], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(McpConfig(command, start_seconds=1.0 if "sleep 60" in command else 20.0)) as server:
        with pytest.raises(ServerGone) as caught:
            await server._open()
        assert str(caught.value) == f"the server test does not start: {said}"
        with pytest.raises(ServerGone) as again:
            await server.tools()
        assert said in str(again.value)
    (line,) = [record for record in caplog.records if record.message == "an MCP server does not start"]
    assert (line.levelname, vars(line)["server"], vars(line)["error"]) == ("WARNING", "test", said)


@pytest.mark.parametrize(("deaths", "starts"), [(1, True), (2, False)])
async def test_a_process_that_dies_before_it_says_anything_is_started_once_more(
    tmp_path: Path, deaths: int, starts: bool
) -> None:
    count = tmp_path / "count"
    script = (
        f"echo x >> {count}; [ $(wc -l < {count}) -gt {deaths} ] || kill -SEGV $$; "
        f"exec {sys.executable} -m tests.fakes.mcp_server"
    )
    async with opened(McpConfig(("/bin/sh", "-c", script), cwd=str(ROOT))) as server:
        if starts:
            assert await server.tools()
        else:
            with pytest.raises(ServerGone) as caught:
                await server.tools()
            assert "/bin/sh did not begin: killed by SIGSEGV" in str(caught.value.__cause__)
    assert len(count.read_text().split()) == 2
