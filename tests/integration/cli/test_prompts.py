"""`headworks prompts`, against the service that keeps them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from cli import program
from services.orchestrator.prompts.service import PromptService
from services.orchestrator.prompts.store import PromptStore
from services.orchestrator.servicers.prompts import PromptServicer
from services.runtime.call import Call
from services.runtime.identity import Identity
from services.runtime.interceptors.chain import Serve, T
from services.runtime.interceptors.standard import Errors
from tests.fakes.serving import app_of, serving
from tests.fixtures.runs import opened_records

Capture = pytest.CaptureFixture[str]
Command = Callable[..., Awaitable[tuple[int, str, str]]]
GREETER = """\
name: greeter
description: Greets.
variables: {customer: , most: {type: integer, default: 2}}
messages: [{role: system, content: "Greet {{ customer }} in {{ most }} words."}]
"""


class AsAnn:
    """Has all calls made by one user: the gateway, which knows who calls, is not there."""

    async def around(self, call: Call, serve: Serve[T]) -> T:
        call.identity = Identity("acme", "ann", frozenset())
        return await serve()


@pytest.fixture
async def command(tmp_path: Path, capsys: Capture) -> AsyncIterator[Command]:
    """The command: its exit code, and what it says."""
    async with opened_records(f"sqlite:///{tmp_path / 'runs.db'}") as records:
        servicer = PromptServicer(PromptService(PromptStore(records.database)))
        async with serving(app_of(servicer, layers=[Errors(), AsAnn()])) as address:

            async def run(*arguments: str) -> tuple[int, str, str]:
                argv = ["prompts", *arguments, "--edge", address, "--key", "hw_x", "--timeout", "20"]
                code = await asyncio.to_thread(program.run, argv)
                said = capsys.readouterr()
                return code, said.out, said.err

            yield run


async def test_a_prompt_is_applied_shown_rendered_and_deleted(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "greeter.yaml"
    file.write_text(GREETER)
    assert await command("apply", str(file), "--dry-run") == (0, "greeter: would be version 1\n", "")
    assert await command("diff", str(file), "--exit-code") == (1, (await command("diff", str(file)))[1], "")
    assert await command("apply", str(file)) == (0, "greeter: version 1\n", "")
    assert await command("apply", str(file)) == (0, "greeter: unchanged, version 1\n", "")
    file.write_text(GREETER.replace("Greet {{", "Welcome {{"))
    assert (await command("apply", str(file)))[1] == "greeter: version 2\n"
    assert "customer*, most" in (await command("list"))[1]
    listed = json.loads((await command("versions", "greeter", "--json"))[1])["prompts"]
    assert [(one["version"], len(one["digest"])) for one in listed] == [(2, 64), (1, 64)]
    assert (await command("show", "greeter@1", "--yaml"))[1] == GREETER
    assert "Welcome" in (await command("show", "greeter"))[1]
    assert "-messages" in (await command("diff", "greeter@1"))[1]
    rendered = json.loads((await command("render", "greeter@1", "customer=Ann", "most=3", "--json"))[1])
    assert rendered == {
        "prompt": "greeter@1", "messages": [{"role": "system", "content": "Greet Ann in 3 words."}],
    }  # fmt: skip
    assert (await command("render", "greeter", "customer=Ann"))[1] == "system:\nWelcome Ann in 2 words.\n\n"
    assert (await command("delete", "greeter@2", "--yes"))[1] == "Deleted 1 version of greeter.\n"
    code, out, _ = await command("create", "short", "--system", "Be {{ tone }}.", "--variable", "tone=kind")
    assert (code, out) == (0, "short: version 1\n")
    assert (await command("render", "short"))[1] == "system:\nBe kind.\n\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "nobody"), 1, "there is no prompt 'nobody'"),
        (("show", "Not A Name"), 2, "'Not A Name' is not a prompt: write NAME or NAME@VERSION"),
        (("render", "greeter"), 1, "the variable 'customer' needs a value, a string"),
        (("render", "greeter", "customer"), 2, "'customer' is not VARIABLE=VALUE, such as customer=Ann"),
        (("create", "bad", "--system", "{{ x }}"), 1, "the template names 'x', which is not declared"),
        (("apply", "nothing.yaml"), 2, "there is no file or folder nothing.yaml"),
    ],
)
async def test_what_is_wrong_is_told(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    (tmp_path / "greeter.yaml").write_text(GREETER)
    await command("apply", str(tmp_path / "greeter.yaml"))
    found, _, error = await command(*arguments)
    assert (found, words in error) == (code, True), error
