"""A mesh of two gateways and two orchestrators with its records in PostgreSQL and its counters in Redis."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import openai
import pytest
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import run_event_pb2, run_pb2

from tests.e2e.callers import (
    GATEWAYS,
    PASSED,
    Key,
    answers_again,
    asked,
    budget,
    chat,
    new_key,
    refused,
    shut_out,
    streamed,
    told,
    usage,
)
from tests.e2e.meshes import Mesh, running, wait_for
from tests.e2e.upstreams import models_file, obeying
from tests.fixtures.processes import Postgres, Redis

LISTED, CLERK = "listed", "clerk"
BUDGET_LEASE_SECONDS = 2.0
WORDS = 400


@pytest.fixture(scope="module")
def databases(running_postgres: Postgres) -> Iterator[dict[str, str]]:
    """One for each service."""
    names = {service: running_postgres.new_database() for service in ("gateway", "orchestrator")}
    yield names
    for name in names.values():
        running_postgres.drop(name)


@pytest.fixture(scope="module")
def mesh(
    tmp_path_factory: pytest.TempPathFactory,
    running_postgres: Postgres,
    running_redis: Redis,
    databases: dict[str, str],
) -> Iterator[Mesh]:
    folder = tmp_path_factory.mktemp("shared")
    with obeying() as upstream:
        env = {
            "HEADWORKS_GATEWAY_RECORDS_URL": running_postgres.url(databases["gateway"]),
            "HEADWORKS_ORCHESTRATOR_RECORDS_URL": running_postgres.url(databases["orchestrator"]),
            "HEADWORKS_GATEWAY_REDIS_URL": running_redis.url,
            "HEADWORKS_GATEWAY_BUDGET_LEASE_SECONDS": str(BUDGET_LEASE_SECONDS),
            "HEADWORKS_ORCHESTRATOR_LEASE_SECONDS": "3",
            "HEADWORKS_ORCHESTRATOR_BEAT_SECONDS": "0.5",
            "HEADWORKS_LLM_MODELS_FILE": str(models_file(folder / "m.yaml", upstream.url, LISTED, bare=(PASSED,))),
        }
        with running(folder / "data", "--replicas", "gateway=2,orchestrator=2", env=env) as mesh:
            spec = folder / "clerk.yaml"
            spec.write_text(f"name: {CLERK}\nmodel: {LISTED}\ninstructions: Be brief.\n")
            assert told(mesh, "agents", "apply", str(spec))["agents"][0]["version"] == 1
            wait_for(lambda: CLERK in {one["id"] for one in told(mesh, "models")["models"]}, 10)
            yield mesh


@pytest.fixture
def key(mesh: Mesh, request: pytest.FixtureRequest) -> Key:
    """Of an account of the test's name; known to both gateways."""
    return new_key(mesh, request.node.name, seconds=10)


def test_what_is_kept_is_in_postgresql(
    mesh: Mesh, key: Key, running_postgres: Postgres, databases: dict[str, str]
) -> None:
    answer = chat(mesh, key, "say Hello.", CLERK, metadata={"session_id": "hello"})
    assert answer.json()["choices"][0]["message"]["content"] == "Hello."
    run_id = answer.json()["headworks"]["run_id"]

    def rows(service: str, query: str) -> list[str]:
        return running_postgres.sql(query, databases[service]).splitlines()

    assert f"{run_id}|2" in rows("orchestrator", "SELECT id, state FROM orchestrator_runs")
    assert run_id in rows("orchestrator", "SELECT run_id FROM orchestrator_events")
    assert len(rows("orchestrator", "SELECT incarnation FROM orchestrator_replicas")) == 2
    assert CLERK in rows("orchestrator", "SELECT name FROM agents")
    assert run_id in rows("gateway", "SELECT run_id FROM usage")
    connected = rows("gateway", "SELECT application_name FROM pg_stat_activity")
    assert {"headworks-gateway", "headworks-orchestrator"} <= set(connected)
    assert not [path for service in databases for path in (mesh.data / service).glob("*.db")]


def test_sessions_go_on_over_runs(mesh: Mesh, key: Key) -> None:
    session = {"metadata": {"session_id": f"s-{time.monotonic_ns()}"}}
    for words in ("The Danube.", "The Rhine."):
        assert chat(mesh, key, f"say {words}", CLERK, **session).status_code == 200
    name = session["metadata"]["session_id"]
    shown = told(mesh, "sessions", "get", name)
    assert [message["content"] for message in shown["messages"]][1::2] == ["The Danube.", "The Rhine."]
    assert len(told(mesh, "run", "list", "--session", name)["runs"]) == 2
    assert mesh.command("sessions", "delete", name, "--yes").returncode == 0
    assert mesh.command("sessions", "get", name).returncode != 0


def test_a_revoked_key_is_shut_out_of_both_gateways(mesh: Mesh, key: Key) -> None:
    told(mesh, "keys", "revoke", key.id)
    wait_for(lambda: shut_out(mesh, key), 5)
    assert {chat(mesh, key, "say Hello.").status_code for _ in range(6)} == {401}


def test_gateways_count_together_in_redis(mesh: Mesh, key: Key) -> None:
    told(mesh, "limits", "create", "--caller", key.id, "--requests", "10")
    wait_for(lambda: "x-ratelimit-limit-requests" in chat(mesh, key, "say Hello.").headers, 10)

    def served(gateway: str) -> int:
        return sum(not refused(asked(mesh, gateway, key, "say Yes.")) for _ in range(10))

    assert sum(served(gateway) for gateway in GATEWAYS) <= 10
    assert chat(mesh, key, "say Hello.").status_code == 429


@pytest.mark.parametrize("model", [PASSED, CLERK])
def test_streams_on_both_gateways_share_a_budget(mesh: Mesh, key: Key, model: str) -> None:
    streams, limit = 6, 1500
    budget(mesh, key, limit)
    before = usage(mesh, key)
    with ThreadPoolExecutor(streams) as pool:
        asking = [pool.submit(streamed, mesh, key, "count 800", model) for _ in range(streams)]
    assert all(isinstance(one.exception(), openai.RateLimitError) for one in asking if one.exception())
    heard = [one.result() for one in asking if one.exception() is None]
    assert {one.finish for one in heard} == {"budget"}
    assert limit * 0.8 < sum(one.read + one.written for one in heard) <= limit + 50 * streams
    assert sorted(usage(mesh, key)) == sorted([*before, *((one.read, one.written, "budget") for one in heard)])


def start_run(stub: Any, key: Key) -> Any:
    message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=f"count {WORDS}")
    request = pb.RunRequest(model=CLERK, messages=[message], detached=True)
    return stub.Run(request, metadata=key.metadata, timeout=60)


def read(stream: Any, events: list[run_event_pb2.RunEvent], enough: Callable[[], bool] = lambda: False) -> None:
    """Read until it is enough, or to the end; a stream that breaks ends."""
    try:
        for response in stream:
            events += response.events
            if enough():
                return
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.UNAVAILABLE, error  # noqa: PT017


def test_a_killed_orchestrators_runs_go_on(mesh: Mesh, key: Key) -> None:
    """What was seen of them is seen again, word for word, and each run comes to its end on the other replica, or on
    the next process of the same."""
    runs: list[list[run_event_pb2.RunEvent]] = [[] for _ in range(4)]
    with grpc.insecure_channel(mesh.target) as channel:
        stub: Any = pb_grpc.OrchestratorServiceStub(channel)
        for events in runs:
            stream = start_run(stub, key)
            read(stream, events, lambda: len(events) >= 30)  # noqa: B023
            owner = events[0].run_id.split("_")[1]
            if events is runs[-1]:
                mesh.kill(owner)
            stream.cancel()
        for events in runs:
            until = time.monotonic() + 60
            while not events[-1].HasField("finished") and time.monotonic() < until:
                request = pb.AttachRequest(run_id=events[0].run_id, after_sequence=events[-1].sequence)
                read(stub.Attach(request, metadata=key.metadata, timeout=60), events)
            assert [event.sequence for event in events] == list(range(1, len(events) + 1))
            assert events[-1].finished.reason == run_pb2.FINISH_REASON_STOP
            assert "".join(event.text.text for event in events).startswith("word " * 30)
    mesh.wait_ready()
    assert chat(mesh, key, "say Well.", CLERK).json()["choices"][0]["message"]["content"] == "Well."


def test_a_killed_gateway_leaves_sound_accounts(mesh: Mesh, key: Key) -> None:
    limit = 400
    budget_id = budget(mesh, key, limit)
    pieces = 0
    dying = asked(mesh, "gateway-0", key, "count 2000")
    for portion in dying:
        pieces += portion.count("word ")
        if pieces >= 100:
            break
    mesh.kill("gateway-0")
    answers_again(mesh)

    def account() -> dict[str, Any]:
        return next(one for one in told(mesh, "budgets", "list")["budgets"] if one["id"] == budget_id)

    wait_for(lambda: account()["held"] == 0, 5 * BUDGET_LEASE_SECONDS + 10, lambda: str(account()))
    wait_for(lambda: refused(asked(mesh, "gateway-1", key, "count 600")), 20, lambda: str(account()))
    wait_for(lambda: account()["held"] == 0, 10, lambda: str(account()))
    assert limit - 30 <= account()["spent"] <= limit + 50
    assert told(mesh, "audit", "verify")["sound"]
    mesh.wait_ready()
    wait_for(lambda: refused(asked(mesh, "gateway-0", key, "say More.")), 30)
