"""Callers of a mesh's gateways: each with a key, through Envoy or straight to one of the gateways."""

import io
import json
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import httpx
import openai

from cli import program
from tests.e2e.meshes import Mesh, wait_for
from tests.fakes.http_calls import Refused

GATEWAYS = ("gateway-0", "gateway-1")
PASSED = "passed"


@dataclass(frozen=True)
class Key:
    """A key of a service account. `subject` is the account's name."""

    id: str
    secret: str
    subject: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.secret}"),)

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.metadata)


def told(mesh: Mesh, *arguments: str) -> Any:
    """What a verb of the command prints as JSON. In this process: one of its own needs a quarter of a second of a
    processor to begin, and `Mesh.command` runs those."""
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors):
        code = program.run([*arguments, "--json", "--data", str(mesh.data)])
    assert code == 0, output.getvalue() + errors.getvalue()
    return json.loads(output.getvalue())


def answers_again(mesh: Mesh) -> None:
    """Wait until a call is answered: one that Envoy sends to a gateway as that is killed is not."""
    wait_for(lambda: mesh.command("budgets", "list").returncode == 0, 60)


def straight_to(mesh: Mesh, gateway: str, key: Key) -> httpx.Client:
    """A client of one gateway. Envoy is left out."""
    transport = httpx.HTTPTransport(uds=str(mesh.data / "run" / f"{gateway}.sock"))
    return httpx.Client(transport=transport, base_url="http://gateway", headers=key.headers, timeout=30)


def status(mesh: Mesh, gateway: str, key: Key) -> int:
    """What one gateway answers to the key when it asks for the models."""
    with straight_to(mesh, gateway, key) as http:
        return http.get("/v1/models").status_code


def let_in(mesh: Mesh, key: Key) -> bool:
    """Whether all gateways know the key, whatever it may do."""
    return all(status(mesh, gateway, key) in (200, 403) for gateway in GATEWAYS)


def shut_out(mesh: Mesh, key: Key) -> bool:
    """Whether no gateway knows the key any more."""
    return all(status(mesh, gateway, key) == 401 for gateway in GATEWAYS)


def new_key(mesh: Mesh, test: str, *more: str, role: str = "user", seconds: float = 60) -> Key:
    """A key of a new account that has the test's name, known to all gateways within `seconds`; `more` are options of
    `keys create`."""
    name = f"{test[5:50]}-{time.monotonic_ns()}"
    account = told(mesh, "accounts", "create", name, "--role", role)
    made = told(mesh, "keys", "create", account["id"], "--name", "test", *more)
    key = Key(made["id"], made["secret"], name)
    wait_for(lambda: let_in(mesh, key), seconds)
    return key


def client_of(mesh: Mesh, key: Key) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{mesh.edge}/v1", api_key=key.secret, max_retries=0, timeout=30)


def chat(mesh: Mesh, key: Key, words: str, model: str = PASSED, **fields: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": words}]} | fields
    return httpx.post(f"{mesh.edge}/v1/chat/completions", json=body, headers=key.headers, timeout=30)


@dataclass
class Told:
    """What a caller heard of a stream."""

    text: str
    finish: str | None
    read: int
    written: int


def streamed(mesh: Mesh, key: Key, words: str, model: str = PASSED) -> Told:
    heard = Told("", None, 0, 0)
    with client_of(mesh, key) as client:
        stream = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": words}], stream=True,
            stream_options={"include_usage": True},
        )  # fmt: skip
        for chunk in stream:
            for choice in chunk.choices:
                heard.text += choice.delta.content or ""
                heard.finish = choice.finish_reason or heard.finish
            if chunk.usage is not None:
                heard.read, heard.written = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
    return heard


def budget(mesh: Mesh, key: Key, tokens: int) -> str:
    """The id of a budget of the key that is in force on each gateway: what is more than all of it is refused."""
    made = told(mesh, "budgets", "create", "--per", "day", "--tokens", str(tokens), "--of-key", key.id)
    for gateway in GATEWAYS:
        wait_for(lambda: refused(asked(mesh, gateway, key, "say Yes.", max_tokens=tokens)), 60)  # noqa: B023
    return str(made["id"])


def asked(mesh: Mesh, gateway: str, key: Key, words: str, model: str = PASSED, **fields: Any) -> Iterator[str]:
    """What one gateway streams. Envoy is left out. Raises Refused."""
    body = {"model": model, "messages": [{"role": "user", "content": words}], "stream": True} | fields
    with (
        straight_to(mesh, gateway, key) as http,
        http.stream("POST", "/v1/chat/completions", json=body) as response,
    ):
        if response.status_code != 200:
            response.read()
            raise Refused(response)
        yield from response.iter_text()


def refused(portions: Iterator[str]) -> bool:
    """Whether a budget does not let the call in."""
    try:
        list(portions)
    except Refused as why:
        return why.status == 429
    return False


def usage(mesh: Mesh, key: Key) -> list[tuple[int, int, str]]:
    """The rows of a key, the oldest first."""
    rows = told(mesh, "usage", "list", "--of-key", key.id)["calls"]
    return [(row["prompt_tokens"], row["completion_tokens"], row["finish_reason"]) for row in reversed(rows)]
