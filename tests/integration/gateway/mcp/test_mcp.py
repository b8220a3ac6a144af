"""/mcp, spoken to by the protocol's own client over HTTP."""

import asyncio
import json
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import run_event_pb2
from mcp import MCPError

from services.runtime.errors import CollectionNotFound
from tests.fakes.orchestrator import RUN_ID, FakeOrchestrator, events, tool_call
from tests.fakes.search import FakeRetrieval, hit
from tests.fakes.serving import until
from tests.integration.gateway.conftest import HEADERS, Gateway, MakeGateway, rows
from tests.integration.gateway.mcp.client import MODES, client_of

ACCEPT = {"accept": "application/json, text/event-stream"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ASK = {"question": "why?"}
RECORDS = "SELECT record FROM audit_records"
GUARDS = """
guards:
  - {guard: pii, stage: [input, context], action: redact}
  - {guard: terms, stage: [input, output, context], action: block, terms: [forbidden]}
"""


@pytest.fixture
def guards(tmp_path: Path) -> Path:
    path = tmp_path / "guards.yaml"
    path.write_text(GUARDS)
    return path


async def posted(gateway: Gateway, body: Any, **headers: str) -> httpx.Response:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = {"content-type": "application/json"}
    return await gateway.http.post("/mcp", content=sent, headers=HEADERS | kind | ACCEPT | headers)


def error_of(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = result.meta["headworks/error"]
    return found


def text_of(result: Any) -> str:
    [content] = result.content
    return str(content.text)


@pytest.mark.parametrize("mode", MODES)
async def test_an_agent_is_a_tool_that_answers_with_its_sources(make_gateway: MakeGateway, mode: str) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Cats sleep.", "Dogs bark.")))
    async with client_of(gateway, mode) as client:
        tools = (await client.list_tools()).tools
        result = await client.call_tool("ask_rag", {**ASK, "collection": "cats", "session_id": "s1"})
    assert [tool.name for tool in tools] == ["ask_rag"], "bare models are no tools"
    assert not result.is_error
    assert text_of(result).startswith("Cats sleep. Dogs bark.\n\nSources:\n[1] T, d0: ")
    said = result.structured_content
    assert said["answer"] == "Cats sleep. Dogs bark."
    assert [source["quote"] for source in said["sources"]] == ["Cats sleep.", "Dogs bark."]
    assert (said["run_id"], said["finish_reason"]) == (RUN_ID, "stop")
    (run,) = gateway.orchestrator.runs
    assert (run.model, run.collection, run.session_id, run.messages[0].content) == ("rag", "cats", "s1", "why?")


@pytest.mark.parametrize("mode", MODES)
async def test_a_collection_is_a_tool_that_searches(make_gateway: MakeGateway, mode: str) -> None:
    gateway = await make_gateway(retrieval=FakeRetrieval({"docs": [hit(1, "Cats sleep."), hit(2, "Dogs bark.")]}))
    async with client_of(gateway, mode) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        result = await client.call_tool("search_docs", {"query": "cats", "limit": 2, "mode": "lexical"})
    assert names == ["ask_rag", "search_docs"]
    assert text_of(result) == "[1] Title 1 (file:///d1)\nCats sleep.\n\n[2] Title 2 (file:///d2)\nDogs bark."
    assert [one["document"]["id"] for one in result.structured_content["hits"]] == ["d1", "d2"]
    (request,) = gateway.retrieval.requests
    assert (request.collection, request.query, request.limit) == ("docs", "cats", 2)


async def test_a_name_that_clients_would_not_take_is_cut_and_told_apart(make_gateway: MakeGateway) -> None:
    orchestrator = FakeOrchestrator(events("Yes."))
    long = [f"{'a' * 63}{letter}" for letter in "bc"]
    orchestrator.models = [pb.Model(id=name, agent_version=1) for name in long]
    gateway = await make_gateway(orchestrator)
    async with client_of(gateway) as client:
        names = [tool.name for tool in (await client.list_tools()).tools][1:]
        assert len(set(names)) == 2
        assert all(len(name) == 64 for name in names)
        await client.call_tool(names[1], ASK)
    assert orchestrator.runs[-1].model == long[1]


async def test_a_caller_sees_and_calls_what_it_may(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = await make_gateway(
        FakeOrchestrator(events("Yes.")), retrieval=FakeRetrieval({"docs": [hit(1, "A.")], "hidden": [hit(2, "B.")]})
    )
    stored = json.loads((tmp_path / "keys.json").read_text())
    stored["keys"][0]["scopes"] = ["collections.read:docs"]
    (tmp_path / "keys.json").write_text(json.dumps(stored))

    async def narrowed() -> bool:
        async with client_of(gateway) as client:
            return [tool.name for tool in (await client.list_tools()).tools] == ["search_docs"]

    await until(narrowed)
    async with client_of(gateway) as client:
        for name in ("search_hidden", "ask_rag", "search_nothing", "ask_nothing"):  # what is hidden is not there
            with pytest.raises(MCPError, match=f"^there is no tool '{name}'$"):
                await client.call_tool(name, {"query": "x", **ASK})
        beside = await client.call_tool("search_docs", {"query": "x"})
    assert not beside.is_error
    assert not gateway.orchestrator.runs


@pytest.mark.parametrize("mode", MODES)
async def test_a_run_reports_what_it_does(make_gateway: MakeGateway, mode: str) -> None:
    said = events("Cats sleep.")
    step = run_event_pb2.RunEvent(
        step_started=run_event_pb2.StepStarted(kind=run_event_pb2.STEP_KIND_GENERATE, model="m")
    )
    gateway = await make_gateway(FakeOrchestrator([said[0], step, tool_call("clock", "{}", callers=False), *said[1:]]))
    told: list[tuple[float, str | None]] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    async with client_of(gateway, mode) as client:
        await client.call_tool("ask_rag", ASK, progress_callback=report)
    assert [number for number, _ in told] == [1, 2, 3, 4]
    assert [words for _, words in told] == [
        f"the run {RUN_ID} has begun", "asking the model", "calling the tool clock", "answering: 11 characters so far",
    ]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_cancels_a_call(make_gateway: MakeGateway, mode: str, records_url: str) -> None:
    orchestrator = FakeOrchestrator(events("Cats sleep."), hold=2)
    gateway = await make_gateway(orchestrator, records_url=records_url)
    async with client_of(gateway, mode) as client:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def once_held() -> None:
                    await orchestrator.held.wait()
                    scope.cancel()

                group.start_soon(once_held)
                await client.call_tool("ask_rag", ASK)
        assert scope.cancelled_caught
        async with asyncio.timeout(20):
            await orchestrator.left.wait()
        # The session goes on.
        assert (await client.list_tools()).tools
    [record] = await until(lambda: _of_runs(records_url))
    assert record["run_id"] == RUN_ID


async def _of_runs(url: str) -> list[dict[str, Any]]:
    found = [json.loads(record) for (record,) in await rows(url, RECORDS)]
    return [record for record in found if record.get("model") == "rag"]


async def test_only_its_own_session_cancels_a_request(make_gateway: MakeGateway) -> None:
    orchestrator = FakeOrchestrator(events("Cats sleep."), hold=2)
    gateway = await make_gateway(orchestrator)
    call = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "ask_rag", "arguments": ASK}}
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
    asking = asyncio.create_task(posted(gateway, call, **{"mcp-session-id": "mine"}))
    await orchestrator.held.wait()
    for headers in ({}, {"mcp-session-id": "other"}):
        assert (await posted(gateway, cancel, **headers)).status_code == 202
    assert not orchestrator.left.is_set()
    assert (await posted(gateway, cancel, **{"mcp-session-id": "mine"})).status_code == 202
    told = (await asking).text
    assert '"id":7' in told
    assert "the client has cancelled this request" in told
    async with asyncio.timeout(20):
        await orchestrator.left.wait()


async def test_a_closed_connection_cancels_the_run(make_gateway: MakeGateway) -> None:
    orchestrator = FakeOrchestrator(events("Cats sleep."), hold=2)
    gateway = await make_gateway(orchestrator)
    call = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "ask_rag", "arguments": ASK}}
    asking = asyncio.create_task(posted(gateway, call))
    await orchestrator.held.wait()
    asking.cancel()
    async with asyncio.timeout(20):
        await orchestrator.left.wait()


@pytest.mark.parametrize("mode", MODES)
async def test_the_deadline_comes_as_an_error(make_gateway: MakeGateway, mode: str) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Cats sleep."), hold=2))
    async with client_of(gateway, mode, **{"x-headworks-timeout": "1"}) as client:
        result = await client.call_tool("ask_rag", ASK)
    assert result.is_error
    assert text_of(result).startswith("DEADLINE_EXCEEDED: the call did not finish within 1 seconds")


@pytest.mark.parametrize("mode", MODES)
async def test_an_error_is_a_result(make_gateway: MakeGateway, mode: str, records_url: str) -> None:
    orchestrator = FakeOrchestrator(error=CollectionNotFound("cats"), says=events("x")[:1])
    gateway = await make_gateway(orchestrator, records_url=records_url)
    async with client_of(gateway, mode) as client:
        result = await client.call_tool("ask_rag", {**ASK, "collection": "cats"})
        wrong = await client.call_tool("ask_rag", {"question": "", "model": "gpt"})
        with pytest.raises(MCPError, match="there is no tool 'ask_nobody'"):
            await client.call_tool("ask_nobody", ASK)
    assert result.is_error
    assert text_of(result).startswith("COLLECTION_NOT_FOUND: ")
    assert error_of(result)["code"] == "collection_not_found"
    assert text_of(wrong) == "INVALID_ARGUMENT: model is not supported here"

    async def on_record() -> bool:
        """What became of each; an answer is an event of a stream, whose call is put on record at its end."""
        reasons = {json.loads(record).get("reason") for (record,) in await rows(records_url, RECORDS)}
        return reasons >= {"INVALID_ARGUMENT", "TOOL_NOT_FOUND"}

    await until(on_record)


async def test_guards_act_on_questions_answers_and_passages(make_gateway: MakeGateway, guards: Path) -> None:
    found = [hit(1, "Ask ann@example.org."), hit(2, "This is forbidden."), hit(3, "Fine.")]
    gateway = await make_gateway(
        FakeOrchestrator(events("This is forbidden.")), retrieval=FakeRetrieval({"docs": found}), guards_file=guards
    )
    async with client_of(gateway) as client:
        blocked = await client.call_tool("ask_rag", {"question": "Is it forbidden?"})
        stopped = await client.call_tool("ask_rag", {"question": "Mail ann@example.org?"})
        searched = await client.call_tool("search_docs", {"query": "x"})
    assert (blocked.is_error, text_of(blocked)[:15]) == (True, "CONTENT_FILTER:")
    assert (stopped.is_error, stopped.structured_content["finish_reason"]) == (True, "content_filter")
    assert "forbidden" not in json.dumps(stopped.model_dump(mode="json"))
    assert gateway.orchestrator.runs[0].messages[0].content == "Mail <EMAIL_1>?"
    told = json.dumps(searched.model_dump(mode="json"))
    assert "Ask <EMAIL>." in told
    assert "Fine." in told
    assert "forbidden" not in told
    assert "ann@" not in told


async def test_a_rate_limit_is_an_error_that_says_when(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Yes.")), limits_requests_per_minute=1)
    async with client_of(gateway) as client:
        first, second = [await client.call_tool("ask_rag", ASK) for _ in range(2)]
    assert not first.is_error
    assert error_of(second)["code"] == "rate_limited"
    assert error_of(second)["retry_after"] > 0


async def test_without_retrieval_the_agents_are_still_listed(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Yes.")), retrieval_target="127.0.0.1:1")
    async with client_of(gateway) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["ask_rag"]


async def test_a_long_list_comes_in_pages(make_gateway: MakeGateway) -> None:
    orchestrator = FakeOrchestrator()
    orchestrator.models = [pb.Model(id=f"agent{number}", agent_version=1) for number in range(450)]
    gateway = await make_gateway(orchestrator)
    async with client_of(gateway) as client:
        names: list[str] = []
        cursor = None
        while True:
            page = await client.list_tools(cursor=cursor)
            names += [tool.name for tool in page.tools]
            cursor = page.next_cursor
            if cursor is None:
                break
        with pytest.raises(MCPError, match="cursor"):
            await client.list_tools(cursor="mine")
    assert len(set(names)) == 451


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        (LIST, {"origin": "https://evil.example"}, 403, "https://evil.example"),
        (LIST, {"origin": "null"}, 403, "null"),
        (LIST, {"origin": "http://localhost.evil.example"}, 403, "localhost.evil.example"),
        (LIST, {"origin": "http://localhost:6274"}, 200, "ask_rag"),
        (LIST, {"origin": "https://app.example"}, 200, "ask_rag"),
        (LIST, {"accept": "text/html"}, 406, "send accept: application/json, text/event-stream"),
        (LIST, {"accept": "application/json"}, 406, "send accept"),
        (LIST, {"content-type": "text/plain"}, 415, "content-type: application/json"),
        (LIST, {"authorization": "Bearer hw_wrong"}, 401, "unauthenticated"),
        (LIST, {"mcp-protocol-version": "1999-01-01"}, 400, "protocolVersion"),
        ([LIST, LIST], {}, 400, "batches are not served"),
        (b"{", {}, 400, "not valid JSON"),
        (b"3", {}, 400, "one JSON-RPC message"),
        ({"jsonrpc": "2.0", "id": 1}, {}, 400, "Validation error"),
        ({"jsonrpc": "2.0", "id": 1, "method": "resources/none"}, {}, 200, "Method not found"),
        ({"jsonrpc": "2.0", "method": "notifications/initialized"}, {}, 202, ""),
    ],
)
async def test_odd_requests_are_told_what_is_wrong(
    make_gateway: MakeGateway, body: Any, headers: dict[str, str], status: int, said: str
) -> None:
    gateway = await make_gateway(mcp_origins=["https://app.example"])
    response = await posted(gateway, body, **headers)
    assert response.status_code == status, response.text
    assert said in response.text


@pytest.mark.parametrize("verb", ["GET", "DELETE", "PUT"])
async def test_there_is_no_stream_to_get_and_no_session_to_delete(make_gateway: MakeGateway, verb: str) -> None:
    gateway = await make_gateway()
    response = await gateway.http.request(verb, "/mcp", headers=HEADERS | ACCEPT)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("asked", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2031-01-01"])
async def test_a_version_is_agreed_on(make_gateway: MakeGateway, asked: str) -> None:
    gateway = await make_gateway()
    params = {"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    response = await posted(gateway, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
    data = next(line for line in response.text.splitlines() if line.startswith("data: "))
    told = json.loads(data.removeprefix("data: "))["result"]
    assert told["protocolVersion"] == (asked if asked < "2026" else "2025-11-25")
    assert response.headers["mcp-session-id"]
    assert told["serverInfo"]["name"] == "headworks"


async def test_who_is_let_in_no_more_is_told_in_the_protocols_form(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Cats sleep."), hold=2), heartbeat_seconds=0.1)
    params = {"name": "ask_rag", "arguments": ASK, "_meta": {"progressToken": 1}}
    call = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
    asking = asyncio.create_task(posted(gateway, call))
    await gateway.orchestrator.held.wait()
    (tmp_path / "keys.json").write_text('{"keys": []}')
    told = (await asking).text
    last = json.loads(told.rstrip().rpartition("data: ")[2])
    assert (last["id"], last["error"]["data"]["code"]) == (7, "unauthenticated")
    assert "\n: " in told, "silence has comments"
