"""Claude Code itself, unmodified, where it is installed."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.fakes import openai_upstream as fake
from tests.fakes.openai_upstream import calls, delta
from tests.integration.gateway.conftest import KEY
from tests.integration.gateway.faces.conftest import Before

CLAUDE = shutil.which("claude")
pytestmark = pytest.mark.skipif(CLAUDE is None, reason="needs Claude Code: npm install -g @anthropic-ai/claude-code")
SECRET = "The weir opens at noon."
USAGE = fake.usage(prompt=11, completion=2)


@pytest.mark.parametrize(("behind", "model"), [("before", "small"), ("with_runs", "run")])
async def test_it_calls_its_tools_and_answers(
    before: Before, with_runs: Before, behind: str, model: str, tmp_path: Path
) -> None:
    """Of a bare model, and of one that is asked through runs."""
    start = {"before": before, "with_runs": with_runs}[behind]
    folder = tmp_path / "project"
    folder.mkdir()
    note = folder / "note.txt"
    note.write_text(SECRET)

    async def reads(exchange: fake.Exchange) -> None:
        said = [message for message in exchange.body["messages"] if message["role"] == "tool"]
        tools = [tool["function"]["name"] for tool in exchange.body.get("tools", ())]
        if said or "Read" not in tools:
            await fake.streams(delta(content=f"It says: {SECRET}"), delta("stop"), USAGE)(exchange)
        else:
            await fake.streams(calls(("Read", json.dumps({"file_path": str(note)}))), USAGE)(exchange)

    gateway, upstream = await start(reads)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "ANTHROPIC_BASE_URL": str(gateway.http.base_url),
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_MODEL": model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    process = await asyncio.create_subprocess_exec(
        CLAUDE or "", "-p", "What does note.txt say?", "--output-format", "json", "--allowedTools", "Read",
        cwd=folder, env=environment, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, (out, err)
    answer = json.loads(out)
    assert (answer["is_error"], answer["result"]) == (False, f"It says: {SECRET}")
    results = [message for message in upstream.bodies[-1]["messages"] if message["role"] == "tool"]
    assert SECRET in results[0]["content"]
