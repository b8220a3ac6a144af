"""Clients as they are: what they send beyond the documents, what they make of errors, and of a mesh that stops. And
processes that services start while gRPC's threads run beside them."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import psutil
import pytest

from tests.e2e.callers import told
from tests.e2e.meshes import Mesh, running
from tests.e2e.upstreams import models_file
from tests.fakes.openai_upstream import FakeOpenAi

BARE, RUN = "passed", "run"
CALLS = 200
RUNNER = f"name: runner\nmodel: {RUN}\ninstructions: Run code.\ntools: [python]\n"
ORIGIN = "https://app.example"
ENV = {"HEADWORKS_CONTROL_CORS_ORIGINS": f'["{ORIGIN}"]', "HEADWORKS_GATEWAY_DRAIN_SECONDS": "1"}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, upstream: FakeOpenAi) -> Iterator[Mesh]:
    folder = tmp_path_factory.mktemp("clients")
    models = str(models_file(folder / "models.yaml", upstream.url, RUN, bare=(BARE,)))
    with running(folder / "data", env={**ENV, "HEADWORKS_LLM_MODELS_FILE": models}) as mesh:
        yield mesh


def client_of(mesh: Mesh, **more: object) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{mesh.edge}/v1", api_key=mesh.key, timeout=60, **more)  # type: ignore[arg-type]


def test_keys_come_in_other_headers(mesh: Mesh) -> None:
    for name in ("x-api-key", "api-key"):
        assert httpx.get(f"{mesh.edge}/v1/models", headers={name: mesh.key}).status_code == 200
        assert httpx.get(f"{mesh.edge}/v1/models", headers={name: "hw_none"}).status_code == 401


def test_a_page_may_send_what_the_client_in_a_browser_sends(mesh: Mesh) -> None:
    sent = "authorization, content-type, x-stainless-lang, x-stainless-retry-count, x-stainless-timeout"
    asked = {"access-control-request-method": "POST", "access-control-request-headers": sent}
    answer = httpx.options(f"{mesh.edge}/v1/chat/completions", headers={"origin": ORIGIN, **asked})
    assert answer.status_code == 200
    assert set(sent.split(", ")) <= set(answer.headers["access-control-allow-headers"].split(", "))


def test_embeddings_of_tokens_are_those_of_their_text(mesh: Mesh) -> None:
    model = "all-minilm-l6-v2"
    with client_of(mesh) as client:
        text, tokens = (client.embeddings.create(model=model, input=one) for one in ("hello world", [15339, 1917]))
        assert text.data[0].embedding == pytest.approx(tokens.data[0].embedding, abs=1e-5)
        with pytest.raises(openai.BadRequestError) as caught:
            client.embeddings.create(model=model, input=["short", "word " * 511])
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "input[1]")


@pytest.mark.parametrize("model", [BARE, RUN])
def test_what_an_upstream_refuses_is_what_the_client_gets(mesh: Mesh, model: str) -> None:
    with client_of(mesh) as client, pytest.raises(openai.BadRequestError, match="no good: at all"):
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "fail 400 at all"}])


@pytest.mark.parametrize("model", [BARE, RUN])
def test_a_field_that_is_not_obeyed_is_refused(mesh: Mesh, model: str) -> None:
    with client_of(mesh) as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "say Hello."}], n=2)
    assert caught.value.param == "n"


@pytest.mark.parametrize("model", [BARE, RUN])
def test_the_usage_has_a_chunk_of_its_own(mesh: Mesh, model: str) -> None:
    with client_of(mesh) as client:
        stream = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "say Hello."}], stream=True,
            stream_options={"include_usage": True},
        )  # fmt: skip
        chunks = list(stream)
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].choices == []


def test_the_processes_of_the_python_tool_do_not_die_at_random(mesh: Mesh, tmp_path: Path) -> None:
    """Of an agent that runs the code that it is told to."""
    (tmp_path / "runner.yaml").write_text(RUNNER)
    assert told(mesh, "agents", "apply", str(tmp_path / "runner.yaml"))["agents"]
    with mesh.http() as http:

        def run(number: int) -> str:
            words = f"call python {json.dumps({'code': f'{number} * 7'})}"
            body = {"model": "runner", "messages": [{"role": "user", "content": words}]}
            answer = http.post("/v1/chat/completions", json=body).json()
            return str(answer["choices"][0]["message"]["content"] if "choices" in answer else answer)

        with ThreadPoolExecutor(4) as threads:
            said = dict(enumerate(threads.map(run, range(CALLS))))
    wrong = {number: text for number, text in said.items() if text.strip() != str(number * 7)}
    assert not wrong, f"{len(wrong)} of {CALLS}: {list(wrong.items())[:3]}"
    log = Path(mesh.process("orchestrator-0")["log"]).read_text("utf-8")
    assert "started once more" not in log


def test_streams_that_a_stopping_mesh_cuts_end_with_an_error(mesh: Mesh) -> None:
    """The last test of this mesh. Its gateways have a second."""
    begun = [threading.Event(), threading.Event()]
    ended: dict[str, Exception | None] = {}

    def follow(model: str, first: threading.Event) -> None:
        try:
            with client_of(mesh, max_retries=0) as client:
                for _ in client.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": "count 30000"}], stream=True
                ):
                    first.set()
            ended[model] = None
        except Exception as error:  # noqa: BLE001 (which it is, is what is tested)
            ended[model] = error

    following = [
        threading.Thread(target=follow, args=(model, first)) for model, first in zip((BARE, RUN), begun, strict=True)
    ]
    for thread in following:
        thread.start()
    assert all(first.wait(60) for first in begun)
    mesh.supervisor.terminate()
    for thread in following:
        thread.join(60)
    for model in (BARE, RUN):
        error = ended[model]
        assert type(error) is openai.APIError, error
        assert "stopping" in error.message
        assert error.code == "unavailable"
    psutil.wait_procs([mesh.supervisor], timeout=60)
