"""The gateway's policy in a whole mesh of two gateways: keys, limits, budgets, guards, audit, and what is kept."""

import base64
import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import openai
import psutil
import pytest
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import run_pb2
from headworks.retrieval.v1 import retrieval_service_pb2 as retrieval
from headworks.retrieval.v1 import retrieval_service_pb2_grpc as retrieval_grpc

from services.runtime.statuses import error_info
from tests.e2e.callers import (
    GATEWAYS,
    PASSED,
    Key,
    answers_again,
    asked,
    budget,
    chat,
    client_of,
    let_in,
    new_key,
    refused,
    shut_out,
    streamed,
    told,
    usage,
)
from tests.e2e.meshes import Mesh, running, wait_for
from tests.e2e.upstreams import models_file
from tests.fakes.openai_upstream import FakeOpenAi

GUARDED, RUN, GUARDED_RUN = "guarded", "listed", "guarded-run"
LEASE_SECONDS = 2.0
# Runs are looked at when half of it is over.
IDENTITY_SECONDS = 10
# A second is promised; the machine of the tests may be busy.
SOON = 2.0
MARKER, BESIDE = "xylophonequartz", "zitherquartz"
MAIL = "ann.marker@example.org"
POLICY = """
guards:
  - {guard: pii, stage: both, action: redact, restore: true, categories: [EMAIL]}
  - {guard: terms, stage: output, action: block, terms: [forbidden]}
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, upstream: FakeOpenAi) -> Iterator[Mesh]:
    folder = tmp_path_factory.mktemp("gateway")
    env = {
        "HEADWORKS_LLM_MODELS_FILE": str(
            models_file(folder / "models.yaml", upstream.url, RUN, GUARDED_RUN, bare=(PASSED, GUARDED))
        ),
        "HEADWORKS_GATEWAY_BUDGET_LEASE_SECONDS": str(LEASE_SECONDS),
        "HEADWORKS_GATEWAY_IDENTITY_SECONDS": str(IDENTITY_SECONDS),
    }
    with running(folder / "data", "--replicas", "gateway=2", env=env) as mesh:
        yield mesh


@pytest.fixture
def make_key(mesh: Mesh, request: pytest.FixtureRequest) -> Callable[..., Key]:
    """Makes an account of the test's name with a key."""
    return partial(new_key, mesh, request.node.name)


def test_a_key_does_what_its_role_may(mesh: Mesh, make_key: Callable[..., Key]) -> None:
    key = make_key()
    with client_of(mesh, key) as client:
        answer = client.chat.completions.create(model=PASSED, messages=[{"role": "user", "content": "say Hello."}])
        assert answer.choices[0].message.content == "Hello."
        assert PASSED in [model.id for model in client.models.list()]
    denied = httpx.get(f"{mesh.edge}/v1/admin/keys", headers=key.headers)
    assert (denied.status_code, denied.json()["error"]["code"]) == (403, "permission_denied")
    assert "admin.keys:read" in denied.json()["error"]["message"]
    listed = mesh.command("budgets", "list", "--key", key.secret)
    assert listed.returncode != 0
    assert "admin.budgets:read" in listed.stderr


def test_a_key_s_scopes_narrow_it(mesh: Mesh, make_key: Callable[..., Key]) -> None:
    key = make_key("--scope", f"models.call:{GUARDED}")
    with client_of(mesh, key) as client:
        with pytest.raises(openai.PermissionDeniedError, match=f"models.call:{PASSED}"):
            client.chat.completions.create(model=PASSED, messages=[{"role": "user", "content": "say Hello."}])
        with pytest.raises(openai.PermissionDeniedError, match=f"models.call:{RUN}"):
            client.chat.completions.create(model=RUN, messages=[{"role": "user", "content": "say Hello."}])


def test_a_rotated_key_goes_on_until_it_is_revoked(mesh: Mesh, make_key: Callable[..., Key]) -> None:
    old = make_key()
    rotated = told(mesh, "keys", "rotate", old.id, "--overlap", "1h")
    new = Key(rotated["id"], rotated["secret"], old.subject)
    wait_for(lambda: let_in(mesh, new), SOON)
    assert let_in(mesh, old)
    with mesh.http() as http:
        assert http.post(f"/v1/admin/keys/{old.id}:revoke", json={}).status_code == 200
    revoked = time.monotonic()
    wait_for(lambda: shut_out(mesh, old), 60)
    assert time.monotonic() - revoked < SOON
    assert {chat(mesh, old, "say Hello.").status_code for _ in range(10)} == {401}
    assert {chat(mesh, new, "say Hello.").status_code for _ in range(10)} == {200}
    told(mesh, "keys", "revoke", new.id)
    wait_for(lambda: shut_out(mesh, new), SOON)


def _request(words: str, **fields: Any) -> pb.RunRequest:
    message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=words)
    return pb.RunRequest(model=RUN, messages=[message], **fields)


def test_all_that_is_open_ends_when_its_key_is_revoked(mesh: Mesh, make_key: Callable[..., Key]) -> None:
    """Streams of a model and of a run, on both faces, who follows a run, an upload, and at last a run that was left."""
    key, other = make_key(role="developer"), make_key()
    long = "count 20000"  # more than three minutes
    with ExitStack() as stack:
        channel = stack.enter_context(grpc.insecure_channel(mesh.target))
        runs: Any = pb_grpc.OrchestratorServiceStub(channel)
        ingesting: Any = retrieval_grpc.RetrievalServiceStub(channel)
        detached = runs.Run(_request(long, detached=True), metadata=key.metadata, timeout=100)
        run_id = next(detached).events[0].run_id
        followed = runs.Attach(pb.AttachRequest(run_id=run_id), metadata=key.metadata, timeout=100)
        native = runs.Run(_request(long), metadata=key.metadata, timeout=100)
        opened = retrieval.IngestRequest(open=retrieval.IngestOpen(collection="cut", create_collection=True))
        upload_ends = threading.Event()
        stack.callback(upload_ends.set)
        upload = ingesting.Ingest(_and_waits(opened, upload_ends), metadata=key.metadata, timeout=100)
        for call in (followed, native):
            next(call)
        streams = [stack.enter_context(_streaming(mesh, key, long, model)) for model in (PASSED, RUN)]
        theirs = stack.enter_context(_streaming(mesh, other, long, PASSED))
        portions = [stream.iter_text() for stream in (*streams, theirs)]
        for one in portions:
            next(one)
        told(mesh, "keys", "revoke", key.id)
        for call in (detached, followed, native, upload):
            with pytest.raises(grpc.RpcError) as caught:
                list(call)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        for one in portions[:2]:
            assert "invalid_api_key" in "".join(one)
        assert next(portions[2])

        def state() -> Any:
            return runs.GetRun(pb.GetRunRequest(run_id=run_id), metadata=mesh.metadata, timeout=30).run.state

        wait_for(lambda: state() == run_pb2.Run.STATE_FAILED, 60)


def _and_waits(request: Any, ends: threading.Event) -> Iterator[Any]:
    yield request
    ends.wait(100)


def _streaming(mesh: Mesh, key: Key, words: str, model: str) -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": words}], "stream": True}
    return httpx.stream("POST", f"{mesh.edge}/v1/chat/completions", json=body, headers=key.headers, timeout=100)


@pytest.mark.parametrize("model", [PASSED, RUN])
def test_a_rate_limit(mesh: Mesh, make_key: Callable[..., Key], model: str) -> None:
    key = make_key()
    told(mesh, "limits", "create", "--caller", key.id, "--requests", "4")
    heard: list[httpx.Response] = []
    wait_for(lambda: heard.append(chat(mesh, key, "say Yes.", model)) or heard[-1].status_code == 429, 60)  # type: ignore[func-returns-value]
    served = heard[-2]
    assert (served.status_code, served.headers["x-ratelimit-limit-requests"]) == (200, "4")
    assert int(served.headers["x-ratelimit-remaining-requests"]) < 4
    limited = heard[-1]
    assert limited.json()["error"]["code"] == "rate_limited"
    assert int(limited.headers["retry-after"]) > 0
    assert limited.headers["x-ratelimit-remaining-requests"] == "0"
    assert re.fullmatch(r"(\d+m)?\d+(\.\d+)?m?s", limited.headers["x-ratelimit-reset-requests"])


@pytest.mark.parametrize(("model", "limit"), [(PASSED, 100), (RUN, 400)])
def test_a_budget_ends_a_stream(mesh: Mesh, make_key: Callable[..., Key], model: str, limit: int) -> None:
    key = make_key()
    budget(mesh, key, limit)
    before = usage(mesh, key)
    heard = streamed(mesh, key, f"count {limit * 2}", model)
    assert heard.finish == "budget"
    assert heard.text == "word " * (len(heard.text) // 5)
    assert limit // 2 < heard.read + heard.written <= limit + 50
    rows = usage(mesh, key)
    assert rows == [*before, (heard.read, heard.written, "budget")]
    with client_of(mesh, key) as client, pytest.raises(openai.RateLimitError) as raised:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "say More."}])
    assert raised.value.code == "budget_exceeded"
    assert usage(mesh, key) == rows


@pytest.mark.parametrize("model", [PASSED, RUN])
def test_many_streams_share_a_budget(mesh: Mesh, make_key: Callable[..., Key], model: str) -> None:
    """On both gateways. Each may overrun it by one portion, which on a busy machine is all that came meanwhile, and the
    books say what the callers were told."""
    key, streams, limit = make_key(), 8, 2000
    budget(mesh, key, limit)
    before = usage(mesh, key)
    with ThreadPoolExecutor(streams) as pool:
        asking = [pool.submit(streamed, mesh, key, "count 800", model) for _ in range(streams)]
    assert all(isinstance(one.exception(), openai.RateLimitError) for one in asking if one.exception())
    heard = [one.result() for one in asking if one.exception() is None]
    assert {one.finish for one in heard} == {"budget"}
    assert limit * 0.8 < sum(one.read + one.written for one in heard) <= limit + 50 * streams
    assert sorted(usage(mesh, key)) == sorted([*before, *((one.read, one.written, "budget") for one in heard)])


@pytest.mark.parametrize("model", [PASSED, RUN])
def test_a_caller_who_leaves_is_on_the_books(mesh: Mesh, make_key: Callable[..., Key], model: str) -> None:
    key = make_key()
    body = {"model": model, "messages": [{"role": "user", "content": "count 2000"}], "stream": True}
    with httpx.stream("POST", f"{mesh.edge}/v1/chat/completions", json=body, headers=key.headers) as answer:
        heard = 0
        for line in answer.iter_lines():
            heard += line.count("word ")
            if heard >= 20:
                break
    wait_for(lambda: bool(usage(mesh, key)), 60)
    ((_, written, finish),) = usage(mesh, key)
    assert (heard <= written < 2000, finish) == (True, "cancelled")


def test_a_budget_ends_a_native_run(mesh: Mesh, make_key: Callable[..., Key]) -> None:
    key = make_key()
    budget_id = budget(mesh, key, 400)
    message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content="count 800")
    events: list[Any] = []
    with grpc.insecure_channel(mesh.target) as channel:
        stub: Any = pb_grpc.OrchestratorServiceStub(channel)
        call = stub.Run(pb.RunRequest(model=RUN, messages=[message]), metadata=key.metadata, timeout=30)
        with pytest.raises(grpc.RpcError) as raised:
            events.extend(event for response in call for event in response.events)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    failed: Any = raised.value
    info = error_info(failed)
    assert info is not None
    assert (info.reason, info.metadata["budget"]) == ("BUDGET_EXCEEDED", budget_id)
    assert events[-1].finished.reason == run_pb2.FINISH_REASON_BUDGET
    used = events[-2].usage.usage
    assert 200 < used.prompt_tokens + used.completion_tokens <= 410
    assert usage(mesh, key)[-1] == (used.prompt_tokens, used.completion_tokens, "budget")


@pytest.fixture(scope="module")
def guarded(mesh: Mesh, upstream: FakeOpenAi, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two models with a policy that is in force on both gateways."""
    policy = tmp_path_factory.mktemp("policy") / "policy.yaml"
    policy.write_text(POLICY)
    developer = Key("", mesh.key, "dev")
    for model in (GUARDED, GUARDED_RUN):
        told(mesh, "guards", "put", str(policy), "--agent", model)
    for gateway in GATEWAYS:
        for model in (GUARDED, GUARDED_RUN):
            wait_for(lambda: "content_filter" in "".join(asked(mesh, gateway, developer, "say forbidden", model)), 60)  # noqa: B023


@pytest.mark.parametrize("model", [GUARDED, GUARDED_RUN])
@pytest.mark.usefixtures("guarded")
def test_personal_data_goes_no_further_and_comes_back(
    mesh: Mesh, upstream: FakeOpenAi, make_key: Callable[..., Key], model: str
) -> None:
    key = make_key()
    before = len(upstream.bodies)
    assert streamed(mesh, key, f"say Write to {MAIL} today.", model).text == f"Write to {MAIL} today."
    whole = chat(mesh, key, f"say Write to {MAIL} today.", model).json()
    assert whole["choices"][0]["message"]["content"] == f"Write to {MAIL} today."
    reached = [body["messages"][-1]["content"] for body in upstream.bodies[before:]]
    assert reached == ["say Write to <EMAIL_1> today."] * 2


@pytest.mark.parametrize("model", [GUARDED, GUARDED_RUN])
@pytest.mark.usefixtures("guarded")
def test_a_blocked_term_never_leaves(mesh: Mesh, make_key: Callable[..., Key], model: str) -> None:
    key = make_key()
    raw = chat(mesh, key, "say This is f-o-r-b-i-d-d-e-n and Forbidden fruit.", model, stream=True).text
    said = "".join(
        choice["delta"].get("content") or ""
        for line in raw.splitlines()
        if line.startswith("data: {")
        for choice in json.loads(line[6:])["choices"]
    )
    assert said.strip() == "This is"
    assert '"finish_reason":"content_filter"' in raw
    assert raw.endswith("data: [DONE]\n\n")
    whole = chat(mesh, key, "say This is forbidden.", model).json()
    assert "forbid" not in json.dumps(whole["choices"])
    assert whole["choices"][0]["finish_reason"] == "content_filter"
    assert [row[2] for row in usage(mesh, key)] == ["content_filter"] * 2


@pytest.mark.parametrize("model", [PASSED, RUN])
def test_a_gateway_that_is_killed_leaves_sound_books(mesh: Mesh, make_key: Callable[..., Key], model: str) -> None:
    """What it had reserved is free for the other one after the lease, its stream has a row of usage for what the last
    heartbeat counted, and nothing is counted twice."""
    key, limit = make_key(), 400
    budget_id, before = budget(mesh, key, limit), len(usage(mesh, key))
    restarts, pieces = mesh.process("gateway-0")["restarts"], 0
    dying = asked(mesh, "gateway-0", key, "count 2000", model)
    for portion in dying:
        pieces += portion.count("word ")
        if pieces >= 100:
            break
    mesh.kill("gateway-0")
    with pytest.raises(httpx.TransportError):
        pieces += sum(portion.count("word ") for portion in dying)
    answers_again(mesh)

    def book() -> dict[str, Any]:
        return next(one for one in told(mesh, "budgets", "list")["budgets"] if one["id"] == budget_id)

    wait_for(lambda: book()["held"] == 0, 5 * LEASE_SECONDS, lambda: str(book()))
    known = book()["spent"]
    wait_for(lambda: "abandoned" in [row[2] for row in usage(mesh, key)], 60)
    ((read, written, _),) = [row for row in usage(mesh, key) if row[2] == "abandoned"]
    assert 0 < read + written <= known <= limit
    assert 0 < written <= (pieces + 30 if model == PASSED else limit)  # a run's may be counted and not sent yet
    wait_for(lambda: refused(asked(mesh, "gateway-1", key, "count 600", model)), 60, lambda: str(book()))
    wait_for(lambda: book()["held"] == 0, 60, lambda: str(book()))
    spent, settled = book()["spent"], sum(read + written for read, written, _ in usage(mesh, key)[before:])
    assert spent - settled == known - (read + written)  # less than a heartbeat's, and nothing twice
    # A run is refused where what is left does not suffice for what it reserves at first.
    assert (limit - 30 if model == PASSED else known) <= spent <= limit + 50
    told_of = [one for one in told(mesh, "audit", "list", "--subject", key.subject)["records"] if one["key"] == key.id]
    assert [one["tokens"] for one in told_of if one["action"] == "call.abandon"] == [read + written]
    assert told(mesh, "audit", "verify")["sound"]
    wait_for(lambda: mesh.process("gateway-0")["restarts"] > restarts, 60)
    mesh.wait_ready()
    wait_for(lambda: refused(asked(mesh, "gateway-0", key, "say More.")), 60)
    assert chat(mesh, key, "say More.").status_code == 429


def test_nobody_says_who_they_are_by_themselves(mesh: Mesh, make_key: Callable[..., Key]) -> None:
    key, path = make_key(), f"{mesh.edge}/v1/admin/keys"
    claims = base64.urlsafe_b64encode(b'{"tenant":"default","sub":"x","scopes":["*"],"exp":9999999999}').decode()
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode()
    unsigned = f"{head.rstrip('=')}.{claims.rstrip('=')}."
    lies = {"x-headworks-identity": unsigned, "x-headworks-identity-bin": claims, "x-headworks-tenant": "other"}
    assert httpx.get(path, headers=lies).status_code == 401
    assert httpx.get(path, headers=key.headers | lies).status_code == 403
    for token in (unsigned, unsigned + "AAAA", "e30.e30.e30", "..", "hw_", "hw_" + "a" * 5000, "\u00e9"):
        response = httpx.get(path, headers={b"authorization": f"Bearer {token}".encode()})
        assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key"), token


def test_nobody_writes_their_own_address(mesh: Mesh, make_key: Callable[..., Key], tmp_path: Path) -> None:
    key = make_key()
    lies = {"x-forwarded-for": "203.0.113.7, 203.0.113.8", "x-real-ip": "203.0.113.7", "forwarded": "for=203.0.113.7"}
    body = {"model": PASSED, "messages": [{"role": "user", "content": "say Yes."}]}
    answer = httpx.post(f"{mesh.edge}/v1/chat/completions", json=body, headers=key.headers | lies, timeout=30)
    assert answer.status_code == 200
    exported = mesh.command("audit", "export", str(tmp_path / "audit.jsonl"), "--subject", key.subject)
    assert exported.returncode == 0, exported.stderr
    text = (tmp_path / "audit.jsonl").read_text()
    records = [line for line in map(json.loads, text.splitlines()) if line.get("record")]
    [where] = [one["actor"]["address"] for one in records if one["record"]["action"].startswith("POST /v1/chat")]
    # Envoy tells of a caller from the loopback interface by the address of its machine.
    assert where in {one.address for found in psutil.net_if_addrs().values() for one in found}
    assert "203.0.113" not in text


def test_administration_in_json(mesh: Mesh) -> None:
    with mesh.http() as http:
        made = http.post("/v1/admin/projects", json={"name": "web"})
        assert made.status_code == 200, made.text
        project = made.json()["project"]
        assert project["id"] in [one["id"] for one in http.get("/v1/admin/projects").json()["projects"]]
        for path in ("tenants", "principals", "roles", "keys", "budgets", "limits", "guards", "usage", "audit"):
            assert http.get(f"/v1/admin/{path}").status_code == 200, path
        sums = http.get("/v1/admin/usage:sum", params={"by": ["day", "agent"]})
        assert sums.status_code == 200, sums.text
        assert http.get("/v1/admin/audit:verify").json()["sound"] is True
        wrong = http.post("/v1/admin/budgets", json={"amount": -5})
        assert (wrong.status_code, wrong.json()["error"]["type"]) == (400, "invalid_request_error")
        none = http.get("/v1/admin/keys/key_none")
        assert (none.status_code, none.json()["error"]["code"]) == (404, "key_not_found")
        assert http.delete(f"/v1/admin/projects/{project['id']}").status_code == 200


def test_an_exported_audit_is_checked_by_itself(mesh: Mesh, make_key: Callable[..., Key], tmp_path: Path) -> None:
    key, file = make_key(), tmp_path / "audit.jsonl"
    chat(mesh, key, "say Yes.")
    exported = mesh.command("audit", "export", str(file))
    assert exported.returncode == 0, exported.stderr
    assert key.subject in file.read_text()
    assert told(mesh, "audit", "verify", str(file))["signed"] is True
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:1] + lines[2:]))
    assert mesh.command("audit", "verify", str(file)).returncode == 1
    file.write_text("".join(lines).replace('"decision":"allowed"', '"decision":"denied"', 1))
    assert mesh.command("audit", "verify", str(file)).returncode == 1


def test_what_is_kept_of_a_person_is_handed_out_and_erased(
    mesh: Mesh, make_key: Callable[..., Key], tmp_path: Path
) -> None:
    key = make_key()
    session = {"metadata": {"session_id": f"s-{time.monotonic_ns()}"}}
    assert chat(mesh, key, "say Hello.", RUN, **session).status_code == 200
    run = chat(mesh, key, "say Hello.", RUN).json()["headworks"]["run_id"]

    def kept() -> list[dict[str, Any]]:
        exported = mesh.command("data", "export", str(tmp_path / "data.jsonl"), "--subject", key.subject)
        assert exported.returncode == 0, exported.stderr
        return [json.loads(line) for line in (tmp_path / "data.jsonl").read_text().splitlines()]

    before = {one["kind"] for one in kept()}
    assert {"run", "session"} <= before
    erased = told(mesh, "data", "erase", "--subject", key.subject, "--yes")["erased"]
    assert (erased["runs"], erased["sessions"]) == (2, 1)
    assert not {one["kind"] for one in kept()} & {"run", "session", "key", "principal"}
    assert mesh.command("run", "explain", run).returncode != 0
    wait_for(lambda: shut_out(mesh, key), SOON)
    assert told(mesh, "audit", "verify")["sound"]


def test_no_log_has_what_was_said(mesh: Mesh, make_key: Callable[..., Key]) -> None:
    key = make_key(role="developer")
    for model in (PASSED, GUARDED, RUN, GUARDED_RUN, "rag"):
        for stream in (False, True):
            chat(mesh, key, f"say {MARKER} forbidden", model, stream=stream)
        chat(mesh, key, f"say {MARKER}", model, temperature=MARKER)
    tools = [{"type": "function", "function": {"name": "f", "description": MARKER}}]
    for model, status in itertools.product((PASSED, RUN), (400, 401, 429, 500)):
        chat(mesh, key, f"fail {status} {MARKER}", model, tools=tools)
    httpx.post(f"{mesh.edge}/v1/chat/completions", content=f'{{"{MARKER}', headers=key.headers)
    embedded = {"model": "all-minilm-l6-v2", "input": f"the {MARKER}"}
    assert httpx.post(f"{mesh.edge}/v1/embeddings", json=embedded, headers=key.headers).status_code == 200
    mesh.command("ask", f"Who is {MARKER}?")
    mesh.command("search", MARKER)
    message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=f"fail 500 {MARKER}")
    with grpc.insecure_channel(mesh.target) as channel, suppress(grpc.RpcError):
        stub: Any = pb_grpc.OrchestratorServiceStub(channel)
        list(stub.Run(pb.RunRequest(model=RUN, messages=[message]), metadata=key.metadata, timeout=30))
    logs = list((mesh.data / "logs").iterdir())
    assert {"gateway-0.log", "gateway-1.log", "orchestrator-0.log"} <= {log.name for log in logs}
    assert key.subject in "".join((mesh.data / "logs" / f"{gateway}.log").read_text() for gateway in GATEWAYS)
    assert [log.name for log in logs if MARKER in log.read_text(errors="replace")] == []


def test_no_log_has_what_callers_write_beside_it(mesh: Mesh, make_key: Callable[..., Key]) -> None:
    key, secret = make_key(), "hw_" + "s3cr3t" * 6
    odd = {
        "x-request-id": f"{BESIDE} said", "user-agent": f"{BESIDE} {secret}", "tracestate": f"v={BESIDE}",
        "traceparent": f"00-{BESIDE}-01", "referer": f"https://a.example/?q={BESIDE}", "x-other": secret,
    }  # fmt: skip
    paths = (
        f"/v1/models?api_key={secret}&q={BESIDE}", f"/v1/models/{secret}", f"/v1/{BESIDE}%20said",
        f"/{BESIDE}@b.example",
        f"/v1/models/{BESIDE}%00%1b",
    )  # fmt: skip
    for path in paths:
        for headers in (key.headers, {"authorization": f"Bearer {secret}"}, {}):
            httpx.get(mesh.edge + path, headers=headers | odd)
    chat(mesh, key, "say Yes.", f"{BESIDE} {secret}" * 50)
    long = httpx.get(f"{mesh.edge}/v1/models", headers=key.headers | {"x-request-id": BESIDE * 400})
    assert len(long.headers["x-request-id"]) == 36
    beside = ((name, value) for name, value in odd.items() if name != "user-agent")
    with grpc.insecure_channel(mesh.target) as channel, suppress(grpc.RpcError):
        stub: Any = pb_grpc.OrchestratorServiceStub(channel)
        stub.GetRun(pb.GetRunRequest(run_id=f"{BESIDE} {secret}"), metadata=(*key.metadata, *beside), timeout=30)
    known = httpx.get(f"{mesh.edge}/v1/models", headers=key.headers | {"x-request-id": "seen-last"})
    assert known.headers["x-request-id"] == "seen-last"
    logs = list((mesh.data / "logs").iterdir())
    wait_for(lambda: "seen-last" in (mesh.data / "logs" / "envoy-0.log").read_text(errors="replace"), 60)
    for log in logs:
        text = log.read_text(errors="replace")
        assert secret not in text, log.name
        shown = [line for line in text.splitlines() if BESIDE in line and '"model"' not in line]
        assert shown == [], log.name


def test_who_comes_past_the_edge_is_one_address(mesh: Mesh) -> None:
    """Another account of the machine reaches a gateway's port, and says that it comes from elsewhere."""
    seen: set[grpc.StatusCode] = set()
    with grpc.insecure_channel(mesh.process("gateway-0")["address"]) as channel:
        stub: Any = pb_grpc.OrchestratorServiceStub(channel)
        for number in range(600):
            lies = (("x-forwarded-for", f"203.0.113.{number % 250}"), ("authorization", f"Bearer hw_{number:040}"))
            try:
                stub.GetRun(pb.GetRunRequest(run_id="x"), metadata=(*lies, ("x-headworks-edge", "t" * 43)), timeout=30)
            except grpc.RpcError as error:
                seen.add(error.code())
            if grpc.StatusCode.RESOURCE_EXHAUSTED in seen:
                break
    assert seen == {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED}


def test_anchors_of_the_audit(mesh: Mesh, make_key: Callable[..., Key], tmp_path: Path) -> None:
    key, file = make_key(), tmp_path / "anchors.jsonl"
    for _ in range(2):
        chat(mesh, key, "say Yes.")
        assert told(mesh, "audit", "anchor", str(file))["file"] == str(file)
    checked = told(mesh, "audit", "verify", "--anchor", str(file))
    assert (checked["sound"], checked["anchors"]) == (True, 2)
    text = file.read_text()
    file.write_text(text.replace('"number":', '"number":1', 1))
    assert mesh.command("audit", "verify", "--anchor", str(file)).returncode == 1
    refused = mesh.command("audit", "anchor", str(file), "--key", key.secret)
    assert "admin.audit:read" in refused.stderr


def test_strangers_are_held_off(mesh: Mesh, make_key: Callable[..., Key]) -> None:
    """Whatever address they write themselves. Whoever has a key is let in beside them."""
    key, seen = make_key(), set()
    with httpx.Client(base_url=mesh.edge) as http:
        for number in range(600):
            lies = {"x-forwarded-for": f"203.0.113.{number % 250}", "authorization": f"Bearer hw_{number:040}"}
            seen.add(http.get("/v1/models", headers=lies).status_code)
            if 429 in seen:
                break
    assert seen == {401, 429}
    assert chat(mesh, key, "say Yes.").status_code == 200
