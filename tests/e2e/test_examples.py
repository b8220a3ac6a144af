"""The examples as the documentation has them, on a mesh whose model is an upstream that says what it is told."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.callers import told
from tests.e2e.meshes import Mesh, nothing_outlives, running, wait_for
from tests.fakes.openai_upstream import Chunk, Exchange, FakeOpenAi, delta, streams

EXAMPLES = Path(__file__).parents[2] / "examples"
ORDERS = EXAMPLES / "orders"


class Model:
    """An upstream in a thread of its own. `says` is how it answers the next questions, one after another."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.says: list[Chunk] = []
        self.heard: list[Any] = []

    async def answer(self, exchange: Exchange) -> None:
        self.heard.append(exchange.body)
        await streams(self.says.pop(0))(exchange)

    @property
    def results(self) -> list[str]:
        """What tools gave, as the model was told last."""
        return [message["content"] for message in self.heard[-1]["messages"] if message["role"] == "tool"]


def calls(name: str, **arguments: Any) -> Chunk:
    called = {"index": 0, "id": f"c-{name}", "function": {"name": name, "arguments": json.dumps(arguments)}}
    return delta(finish="tool_calls", tool_calls=[called])


@contextmanager
def upstream() -> Iterator[Model]:
    model = Model("")
    ready, ended = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with FakeOpenAi(model.answer).serving() as fake:
            model.url = fake.url
            ready.set()
            await ended.wait()

    loop = asyncio.new_event_loop()
    serving = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    serving.start()
    try:
        assert ready.wait(60)
        yield model
    finally:
        loop.call_soon_threadsafe(ended.set)
        serving.join(10)
        loop.close()


@contextmanager
def orders() -> Iterator[str]:
    """The service of the example, at the address that it prints."""
    with subprocess.Popen([sys.executable, ORDERS / "server.py", "0"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            line = server.stdout.readline()
            assert line.startswith("orders at "), line
            yield line.removeprefix("orders at ").strip()
        finally:
            server.kill()


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with upstream() as model:
        yield model


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Mesh]:
    folder = tmp_path_factory.mktemp("examples")
    catalogue, tools = folder / "catalogue.yaml", folder / "tools.yaml"
    entry = {"name": "told", "generator": "openai", "base_url": model.url}
    catalogue.write_text(json.dumps({"default": "told", "models": [entry]}))
    with orders() as address:
        tools.write_text((ORDERS / "tools.yaml").read_text().replace("127.0.0.1:50051", address))
        env = {
            "HEADWORKS_LLM_MODELS_FILE": str(catalogue),
            "HEADWORKS_ORCHESTRATOR_TOOLS_FILE": str(tools),
        }
        with running(folder / "data", env=env) as mesh:
            yield mesh


@pytest.fixture(scope="module")
def applied(mesh: Mesh) -> list[str]:
    """All examples, applied."""
    agents = told(mesh, "agents", "apply", str(EXAMPLES / "agents"), str(ORDERS / "refunds.yaml"))["agents"]
    assert not any(one["unavailable"] for one in agents)
    return [one["name"] for one in agents]


def ask(mesh: Mesh, model: Model, agent: str, *says: Chunk) -> dict[str, Any]:
    """The answer to a question, when the model has said all of that."""
    model.says = list(says)
    with mesh.http() as http:
        body = {"model": agent, "messages": [{"role": "user", "content": "Please."}]}
        answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    assert not model.says
    return dict(answer.json())


def test_every_example_can_be_applied(applied: list[str]) -> None:
    assert applied == [path.stem for path in sorted(EXAMPLES.glob("agents/*.yaml"))] + ["refunds"]


def test_methods_of_the_mesh_are_tools(mesh: Mesh, model: Model, applied: list[str]) -> None:
    assert told(mesh, "ingest", str(EXAMPLES), "--collection", "shelf")
    answer = ask(
        mesh, model, "librarian", calls("list_collections"), calls("list_documents", collection="shelf"),
        delta(finish="stop", content="One."),
    )  # fmt: skip
    assert answer["choices"][0]["message"]["content"] == "One."
    collections, documents = map(json.loads, model.results)
    assert [one["name"] for one in collections["collections"]] == ["shelf"]
    assert any(one["id"].endswith("README.md") for one in documents["documents"])


def test_a_method_of_a_service_of_ones_own_is_a_tool(mesh: Mesh, model: Model, applied: list[str]) -> None:
    ask(mesh, model, "refunds", calls("get_order", number="A-17"), delta(finish="stop", content="A hive."))
    (order,) = map(json.loads, model.results)
    assert order == {"number": "A-17", "item": "a bee hive", "price": 240.0, "refunded": False}
    ask(mesh, model, "refunds", calls("get_order", number="B-1"), delta(finish="stop", content="None."))
    assert model.results == ["Error: NOT_FOUND: there is no order 'B-1'"]


def test_a_refund_needs_a_person(mesh: Mesh, model: Model, applied: list[str]) -> None:
    def run(*decision: str) -> dict[str, Any]:
        with ThreadPoolExecutor(1) as others:
            asked = others.submit(
                ask, mesh, model, "refunds", calls("refund", number="A-18"), delta(finish="stop", content="Done.")
            )
            wait_for(lambda: bool(waiting(mesh)) or asked.done(), 60)
            told(mesh, "run", "decide", waiting(mesh)[0], *decision)
            return asked.result()

    run("--no", "--comment", "Too late.")
    assert model.results == ["Error: a person refused this call: Too late."]
    run("--yes")
    assert json.loads(model.results[0])["refunded"] is True


def waiting(mesh: Mesh) -> list[str]:
    return [run["id"] for run in told(mesh, "run", "list", "--state", "waiting")["runs"]]


def test_nothing_outlives_a_supervisor_that_is_interrupted(mesh: Mesh) -> None:
    """The last test of this mesh."""
    nothing_outlives(mesh, signal.SIGINT)
