"""Callers of a mesh's gateways: each with a key, through Envoy or straight to one of the gateways."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import openai
from google.api.httpbody_pb2 import HttpBody
from headworks.gateway.v1 import openai_service_pb2 as openai_pb
from headworks.gateway.v1 import openai_service_pb2_grpc as openai_grpc

from tests.e2e.meshes import Mesh, wait_for

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
    """What a verb of the command prints as JSON."""
    ended = mesh.command(*arguments, "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(ended.stdout)


def status(mesh: Mesh, gateway: str, key: Key) -> grpc.StatusCode:
    """What one gateway answers to the key when it asks for the models. Envoy is left out."""
    with grpc.insecure_channel(mesh.process(gateway)["address"]) as channel:
        stub: Any = openai_grpc.OpenAIServiceStub(channel)
        try:
            stub.ListModels(openai_pb.ListModelsRequest(), metadata=key.metadata, timeout=10)
        except grpc.RpcError as error:
            failed: grpc.StatusCode = error.code()
            return failed
    return grpc.StatusCode.OK


def let_in(mesh: Mesh, key: Key) -> bool:
    """Whether all gateways know the key, whatever it may do."""
    known = {grpc.StatusCode.OK, grpc.StatusCode.PERMISSION_DENIED}
    return all(status(mesh, gateway, key) in known for gateway in GATEWAYS)


def shut_out(mesh: Mesh, key: Key) -> bool:
    """Whether no gateway knows the key any more."""
    return all(status(mesh, gateway, key) is grpc.StatusCode.UNAUTHENTICATED for gateway in GATEWAYS)


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
    """What one gateway streams. Envoy is left out."""
    body = {"model": model, "messages": [{"role": "user", "content": words}], "stream": True} | fields
    with grpc.insecure_channel(mesh.process(gateway)["address"]) as channel:
        stub: Any = openai_grpc.OpenAIServiceStub(channel)
        request = HttpBody(content_type="application/json", data=json.dumps(body).encode())
        for message in stub.CreateChatCompletion(request, metadata=key.metadata, timeout=30):
            yield message.data.decode()


def refused(portions: Iterator[str]) -> bool:
    """Whether a budget does not let the call in."""
    try:
        list(portions)
    except grpc.RpcError as error:
        return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return False


def usage(mesh: Mesh, key: Key) -> list[tuple[int, int, str]]:
    """The rows of a key, the oldest first."""
    rows = told(mesh, "usage", "list", "--of-key", key.id)["calls"]
    return [(row["prompt_tokens"], row["completion_tokens"], row["finish_reason"]) for row in reversed(rows)]
