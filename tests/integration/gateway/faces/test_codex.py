"""Codex itself, unmodified, where it is installed."""

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

CODEX = shutil.which("codex")
pytestmark = pytest.mark.skipif(CODEX is None, reason="needs Codex: npm install -g @openai/codex")
SECRET = "The weir opens at noon."
USAGE = fake.usage(prompt=11, completion=2)
CONFIG = """
model = "{model}"
model_provider = "headworks"
web_search = "disabled"
[model_providers.headworks]
name = "Headworks"
base_url = "{base_url}/v1"
env_key = "HEADWORKS_KEY"
wire_api = "responses"
"""


@pytest.mark.parametrize(("behind", "model"), [("before", "small"), ("with_runs", "run")])
async def test_it_calls_its_tools_and_answers(
    before: Before, with_runs: Before, behind: str, model: str, tmp_path: Path
) -> None:
    """Of a bare model, and of one that is asked through runs."""
    start = {"before": before, "with_runs": with_runs}[behind]
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "note.txt").write_text(SECRET)

    async def reads(exchange: fake.Exchange) -> None:
        tools = [tool["function"] for tool in exchange.body.get("tools", ())]
        if [message for message in exchange.body["messages"] if message["role"] == "tool"] or not tools:
            await fake.streams(delta(content=f"It says: {SECRET}"), delta("stop"), USAGE)(exchange)
        else:
            await fake.streams(calls(("exec_command", json.dumps({"cmd": "cat note.txt"}))), USAGE)(exchange)

    gateway, upstream = await start(reads)
    home = tmp_path / "codex"
    home.mkdir()
    (home / "config.toml").write_text(CONFIG.format(base_url=gateway.http.base_url, model=model))
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CODEX_HOME": str(home), "HEADWORKS_KEY": KEY}
    process = await asyncio.create_subprocess_exec(
        CODEX or "", "exec", "--skip-git-repo-check", "--json", "What does note.txt say?",
        cwd=folder, env=environment, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, (out, err)
    assert f"It says: {SECRET}" in out.decode()
    results = [message for message in upstream.bodies[-1]["messages"] if message["role"] == "tool"]
    assert SECRET in results[0]["content"]
