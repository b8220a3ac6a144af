"""Agents on a real language model: the official client and the command, through Envoy to vLLM and back."""

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pydantic
import pytest
from openai.lib.streaming.chat import ContentDeltaEvent
from openai.types.chat import ChatCompletionMessage, ChatCompletionMessageFunctionToolCall
from prometheus_client.parser import text_string_to_metric_families

from infra.local.ports import PortBook
from tests.e2e.callers import told
from tests.e2e.meshes import EDGES, HEADWORKS, Mesh, running, wait_for

pytest.importorskip("vllm")
READY_SECONDS = 240.0
PRODUCT = "What is 17 times 23?"
CALCULATOR: Any = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Calculates.",
        "parameters": {
            "type": "object",
            "properties": {"expression": {"type": "string"}},
            "required": ["expression"],
        },
    },
}
CAUTIOUS = "name: cautious\ndescription: Asks first.\ntools: [calculator]\napproval: {tools: [calculator]}\n"


class Person(pydantic.BaseModel):
    name: str
    age: int


@pytest.fixture(scope="module")
def metrics_port() -> Iterator[int]:
    """Where the language model shows its figures."""
    book = PortBook(*EDGES, scope="headworks-tests")
    yield book.take()
    book.close()


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, tiny_llm: Path, metrics_port: int) -> Iterator[Mesh]:
    """A mesh with the tiny language model, and an agent on it beside those that are shipped."""
    folder = tmp_path_factory.mktemp("agents")
    (folder / "cautious.yaml").write_text(CAUTIOUS)
    data = tmp_path_factory.mktemp("llm") / "data"
    env = {"HEADWORKS_MODELS_LLM_METRICS_PORT": str(metrics_port)}
    with running(data, "--llm", str(tiny_llm), env=env, seconds=READY_SECONDS) as mesh:
        applied = mesh.command("agents", "apply", str(folder), "--json")
        assert applied.returncode == 0, applied.stdout + applied.stderr
        assert [one["version"] for one in json.loads(applied.stdout)["agents"]] == [1]
        yield mesh


@pytest.fixture
def client(mesh: Mesh) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{mesh.edge}/v1", api_key=mesh.key, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
def bare(client: openai.OpenAI) -> str:
    """The model's own name."""
    return next(one.id for one in client.models.list() if one.model_dump()["headworks"]["kind"] == "model")


def beyond(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = answer.model_dump()["headworks"]
    return found


def only_call(message: ChatCompletionMessage) -> ChatCompletionMessageFunctionToolCall:
    """The one call of a function that the message has."""
    calls = message.tool_calls or []
    assert len(calls) == 1
    assert isinstance(calls[0], ChatCompletionMessageFunctionToolCall)
    return calls[0]


def ask(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_agents_and_models_are_listed(client: openai.OpenAI, mesh: Mesh) -> None:
    kinds = {one.id: one.model_dump()["headworks"]["kind"] for one in client.models.list()}
    assert {name for name, kind in kinds.items() if kind == "agent"} >= {
        "rag", "chat", "analyst", "extractor", "cautious",
    }  # fmt: skip
    assert list(kinds.values()).count("model") == 1
    assert {one["id"] for one in told(mesh, "models")["models"]} == set(kinds) - {"all-minilm-l6-v2"}


def test_the_caller_s_own_tool_round_and_round(client: openai.OpenAI, bare: str) -> None:
    messages = ask(PRODUCT)
    first = client.chat.completions.create(model=bare, messages=messages, tools=[CALCULATOR], temperature=0)
    (choice,) = first.choices
    assert choice.finish_reason == "tool_calls"
    call = only_call(choice.message)
    assert (call.function.name, json.loads(call.function.arguments)) == ("calculator", {"expression": "17 * 23"})
    messages += [choice.message.model_dump(exclude_none=True), {
        "role": "tool", "tool_call_id": call.id, "content": "391",
    }]  # fmt: skip
    second = client.chat.completions.create(model=bare, messages=messages, tools=[CALCULATOR], temperature=0)
    assert second.choices[0].message.content == "17 times 23 is 391."
    assert (second.choices[0].finish_reason, second.usage and second.usage.completion_tokens > 0) == ("stop", True)


def test_a_streamed_tool_call_is_put_together_by_the_client(client: openai.OpenAI, bare: str) -> None:
    with client.chat.completions.stream(
        model=bare, messages=ask(PRODUCT), tools=[CALCULATOR], temperature=0, stream_options={"include_usage": True}
    ) as stream:
        stream.until_done()
        final = stream.get_final_completion()
    call = only_call(final.choices[0].message)
    assert (call.function.name, json.loads(call.function.arguments)) == ("calculator", {"expression": "17 * 23"})
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.usage is not None
    assert final.usage.prompt_tokens > 0


def test_streamed_text(client: openai.OpenAI, bare: str) -> None:
    with client.chat.completions.stream(model=bare, messages=ask("Tell me a long story."), temperature=0) as stream:
        pieces = [event.delta for event in stream if isinstance(event, ContentDeltaEvent)]
        final = stream.get_final_completion().choices[0].message.content
    assert "".join(pieces) == final
    assert (final or "").startswith("On day one the miller")
    assert len(pieces) > 1


def test_lengths_and_stops(client: openai.OpenAI, bare: str) -> None:
    short = client.chat.completions.create(model=bare, messages=ask("Count to twenty."), temperature=0, max_tokens=2)
    assert short.choices[0].finish_reason == "length"
    assert short.usage is not None
    assert short.usage.completion_tokens == 2
    stopped = client.chat.completions.create(model=bare, messages=ask("Count to twenty."), temperature=0, stop=" five")
    assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == ("one two three four", "stop")


def test_structured_output_is_parsed_by_the_client(client: openai.OpenAI, bare: str) -> None:
    answer = client.chat.completions.parse(
        model=bare, messages=ask("Extract the person: Ada is 36 years old."), response_format=Person, temperature=0
    )
    assert answer.choices[0].message.parsed == Person(name="Ada", age=36)


@pytest.mark.parametrize(
    ("agent", "question", "said"),
    [
        ("chat", "Hello!", "Hello! How can I help you?"),
        (
            "extractor",
            "Extract the person: Ada is 36 years old.",
            '{"summary": "Ada is 36 years old.", "people": ["Ada"]}',
        ),
    ],
)
def test_a_shipped_agent_answers(client: openai.OpenAI, agent: str, question: str, said: str) -> None:
    answer = client.chat.completions.create(model=agent, messages=ask(question))
    assert answer.choices[0].message.content == said


def test_an_agent_calls_two_tools_in_one_step(client: openai.OpenAI, mesh: Mesh) -> None:
    answer = client.chat.completions.create(model="analyst", messages=ask("What is 12 times 34 and what time is it?"))
    # Not to the end: a model this small may not stop after every time of the day, such as 12:44.
    assert re.match(r"12 times 34 is 408\. It is \d\d:\d\d", answer.choices[0].message.content or "")
    log = mesh.command("run", "explain", beyond(answer)["run_id"]).stdout
    assert "the model called calculator" in log
    assert "the model called current_time" in log


def test_an_agent_uses_its_own_tool_and_explains_it(client: openai.OpenAI, mesh: Mesh) -> None:
    answer = client.chat.completions.create(model="analyst", messages=ask(PRODUCT))
    message = answer.choices[0].message
    assert (message.content, message.tool_calls) == ("17 times 23 is 391.", None)
    assert beyond(answer)["agent_version"] == 1
    log = mesh.command("run", "explain", beyond(answer)["run_id"]).stdout
    assert 'the model called calculator with {"expression": "17 * 23"}' in log
    assert ": 391" in log
    assert "it ended: it answered" in log


def test_a_session_of_two_turns(client: openai.OpenAI, mesh: Mesh) -> None:
    extra: Any = {"metadata": {"session_id": "nora"}}
    client.chat.completions.create(model="chat", messages=ask("My name is Nora."), temperature=0, extra_body=extra)
    second = client.chat.completions.create(
        model="chat", messages=ask("What is my name?"), temperature=0, extra_body=extra
    )
    assert second.choices[0].message.content == "Your name is Nora."
    assert beyond(second)["session_id"] == "nora"
    kept = told(mesh, "sessions", "get", "nora")
    assert [one["role"] for one in kept["messages"]] == ["user", "assistant"] * 2
    assert "nora" in [one["id"] for one in told(mesh, "sessions", "list")["sessions"]]
    assert told(mesh, "sessions", "delete", "nora") == {"deleted": "nora"}
    assert mesh.command("sessions", "get", "nora").returncode == 1


@pytest.mark.parametrize("approved", [True, False])
def test_a_run_waits_for_approval_by_the_command(client: openai.OpenAI, mesh: Mesh, approved: bool) -> None:
    stream = client.chat.completions.create(model="cautious", messages=ask(PRODUCT), stream=True)
    pending = next(one for one in (chunk.model_dump().get("headworks") for chunk in stream) if one)
    (approval,) = pending["pending_approvals"]
    assert approval["call"]["name"] == "calculator"
    waiting = told(mesh, "run", "list", "--state", "waiting")["runs"]
    assert [one["pending_approvals"] for one in waiting if one["id"] == pending["run_id"]] == [
        [approval["approval_id"]]
    ]
    decided = told(mesh, "run", "decide", pending["run_id"], "--yes" if approved else "--no", "--comment", "so be it")
    assert (decided["approved"], decided["decided_by"]) == (approved, "dev")
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text == ("17 times 23 is 391." if approved else "I was not allowed to compute that.")
    again = mesh.command("run", "decide", pending["run_id"], approval["approval_id"], "--yes")
    assert again.returncode == 1
    assert "dev" in again.stderr
    log = mesh.command("run", "explain", pending["run_id"]).stdout
    assert f"dev {'approved' if approved else 'refused'} {approval['approval_id']}: so be it" in log


def test_an_approval_that_nobody_gives_in_time_can_still_be_given(client: openai.OpenAI, mesh: Mesh) -> None:
    limit = {"x-headworks-timeout": "4"}
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="cautious", messages=ask(PRODUCT), extra_headers=limit)
    assert caught.value.status_code == 504
    error: Any = caught.value.body
    assert error["code"] == "approval_pending"
    assert told(mesh, "run", "decide", error["run_id"], error["approval_id"], "--yes")["approved"]
    assert "17 times 23 is 391." in mesh.command("run", "watch", error["run_id"]).stdout


def test_watching_goes_on_when_the_orchestrator_is_killed(mesh: Mesh) -> None:
    """The run waits, and its process dies. Who watches sees every event once; decided, the run goes on."""
    run_id = told(mesh, "run", "start", "cautious", PRODUCT, "--detach")["run_id"]
    command = [HEADWORKS, "run", "watch", run_id, "--json", "--data", str(mesh.data), "--timeout", "120"]
    lines: list[dict[str, Any]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        output = watching.stdout
        reading = threading.Thread(target=lambda: lines.extend(map(json.loads, output)))
        reading.start()
        try:
            wait_for(lambda: any("approval_request" in one for one in lines), 60, lambda: str(lines))
            restarts = mesh.process("orchestrator-0")["restarts"]
            mesh.kill("orchestrator-0")
            wait_for(lambda: mesh.process("orchestrator-0")["restarts"] > restarts, 60)
            mesh.wait_ready()
            decide = ("run", "decide", run_id, "--yes")  # refused while the gateway finds the new process
            wait_for(lambda: mesh.command(*decide).returncode == 0, 60)
            wait_for(lambda: watching.poll() is not None, 60, lambda: str(lines[-3:]))
        finally:
            watching.kill()
            reading.join()
        assert watching.returncode == 0
    assert [int(one["sequence"]) for one in lines] == list(range(1, len(lines) + 1))
    assert "".join(one["text"]["text"] for one in lines if "text" in one) == "17 times 23 is 391."
    assert "finished" in lines[-1]


def test_a_caller_who_leaves_ends_the_engine_s_work(
    client: openai.OpenAI, mesh: Mesh, bare: str, metrics_port: int
) -> None:
    stream = client.chat.completions.create(
        model=bare, messages=ask("Tell me a long story."), stream=True, max_tokens=3500,
        extra_body={"ignore_eos": True},
    )  # fmt: skip
    next(iter(stream))
    wait_for(lambda: figure(metrics_port, "headworks_llm_under_way") == 1, 60)
    stream.close()
    wait_for(lambda: figure(metrics_port, "headworks_llm_under_way") == 0, 60)
    wait_for(lambda: figure(metrics_port, "vllm:num_requests_running") == 0, 60)
    wait_for(lambda: told(mesh, "run", "list", "--limit", "1")["runs"][0]["state"] == "cancelled", 60)


def figure(port: int, name: str) -> float:
    """The sum of a metric's samples, from the language model's own endpoint."""
    families = text_string_to_metric_families(httpx.get(f"http://127.0.0.1:{port}/metrics").text)
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)
