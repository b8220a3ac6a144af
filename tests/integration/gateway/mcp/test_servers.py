"""A tenant's MCP servers, passed on: real servers over HTTP behind a gateway, asked by the protocol's own client."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import grpc
import mcp_types as types
import pytest
from headworks.gateway.v1 import mcp_server_pb2, mcp_server_service_pb2_grpc
from headworks.gateway.v1 import mcp_server_service_pb2 as pb
from mcp import MCPError
from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span

from gateway.mcp.model import McpServerSpec, StoredServer
from gateway.mcp.servers import TenantServer
from services.runtime.hosts import HostRule
from services.runtime.mcp.egress import Egress
from tests.fakes.mcp_http import App, Odd, Seen, Wall, answering, app_of, endless, listening, watched, wiki
from tests.fakes.orchestrator import FakeOrchestrator, events
from tests.fakes.serving import until
from tests.integration.gateway.conftest import BEARER, HEADERS, Gateway, MakeGateway, rows
from tests.integration.gateway.mcp.client import MODES, client_of

GUARDS = """
guards:
  - {guard: pii, stage: [input, context], action: redact}
  - {guard: terms, stage: [input, context], action: block, terms: [forbidden]}
"""
LOCAL = ["http://127.0.0.1:*"]
NOTE = {"text": "Buy milk."}


class Servers:
    """Listens for a gateway's tests, and registers what listens."""

    def __init__(self, stack: AsyncExitStack, make_gateway: MakeGateway) -> None:
        self._stack = stack
        self._make = make_gateway
        self.urls: list[str] = []

    async def listen(self, app: App) -> str:
        url = await self._stack.enter_async_context(listening(app))
        self.urls.append(url)
        return url

    async def gateway(self, **settings: Any) -> Gateway:
        """One that may ask what listens so far."""
        return await self._make(FakeOrchestrator(events("Yes.")), mcp_private_hosts=self.urls, **settings)

    async def put(self, gateway: Gateway, name: str, url: str, **fields: Any) -> mcp_server_pb2.McpServer:
        stub = mcp_server_service_pb2_grpc.McpServerServiceStub(gateway.channel)
        request = pb.PutMcpServerRequest(name=name, url=url, **fields)
        return (await stub.PutMcpServer(request, metadata=BEARER)).server


@pytest.fixture
async def servers(make_gateway: MakeGateway) -> AsyncIterator[Servers]:
    async with AsyncExitStack() as stack:
        yield Servers(stack, make_gateway)


def text_of(result: Any) -> str:
    return "\n".join(content.text for content in result.content)


@pytest.mark.parametrize("mode", MODES)
async def test_its_tools_are_offered_and_called(servers: Servers, mode: str) -> None:
    seen = Seen()
    url = await servers.listen(watched(app_of(wiki(seen)), seen))
    gateway = await servers.gateway()
    await servers.put(gateway, "wiki", f"{url}/mcp", headers={"X-Key": "s3cret"}, tools=["note", "a.*"])
    told: list[str | None] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async with client_of(gateway, mode) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        result = await client.call_tool("wiki_note", NOTE, progress_callback=report)
        signs = await client.call_tool(names[2], {})
        with pytest.raises(MCPError, match="there is no tool 'wiki_fail'"):
            await client.call_tool("wiki_fail", {})
    assert names[:2] == ["ask_rag", "wiki_note"]
    assert names[2].startswith("wiki_a_name_with_signs_")
    assert result.structured_content == {"kept": "Buy milk.; write to ann@example.org"}
    assert text_of(signs) == "signs"
    assert seen.noted == ["Buy milk."]
    assert told == ["half of Buy milk."]
    assert all(headers["x-key"] == "s3cret" for headers in seen.headers)
    assert not [headers for headers in seen.headers if "authorization" in headers], "the caller's key stays here"


async def test_secrets_are_never_shown_and_sealed_on_disk(servers: Servers, tmp_path: Path, records_url: str) -> None:
    seen = Seen()
    url = await servers.listen(watched(app_of(wiki(seen)), seen))
    gateway = await servers.gateway(records_url=records_url)
    stored = await servers.put(gateway, "wiki", f"{url}/mcp", headers={"x-key": "s3cret"})
    assert list(stored.headers) == ["x-key"]
    stub = mcp_server_service_pb2_grpc.McpServerServiceStub(gateway.channel)
    listed = await stub.ListMcpServers(pb.ListMcpServersRequest(), metadata=BEARER)
    assert "s3cret" not in str(listed)
    everything = str(await rows(records_url, "SELECT * FROM mcp_servers"))
    everything += str(await rows(records_url, "SELECT record FROM audit_records"))
    assert "wiki" in everything
    assert "s3cret" not in everything
    kept = await servers.put(gateway, "wiki", f"{url}/mcp?v=2", keep_secrets=True)
    assert list(kept.headers) == ["x-key"]
    async with client_of(gateway) as client:
        await client.call_tool("wiki_note", NOTE)
    assert seen.headers[-1]["x-key"] == "s3cret"
    with pytest.raises(grpc.aio.AioRpcError, match="the secrets were given for another host"):
        await servers.put(gateway, "wiki", "https://thief.example/mcp", keep_secrets=True)


@pytest.mark.parametrize("mode", MODES)
async def test_guards_act_on_descriptions_arguments_and_results(servers: Servers, tmp_path: Path, mode: str) -> None:
    seen = Seen()
    url = await servers.listen(app_of(wiki(seen)))
    (tmp_path / "guards.yaml").write_text(GUARDS)
    gateway = await servers.gateway(guards_file=tmp_path / "guards.yaml")
    await servers.put(gateway, "wiki", f"{url}/mcp")
    told: list[str | None] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async with client_of(gateway, mode) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        result = await client.call_tool("wiki_note", {"text": "Call bob@example.org."}, progress_callback=report)
        blocked = await client.call_tool("wiki_note", {"text": "It is forbidden."})
        image = await client.call_tool("wiki_picture", {})
        failed = await client.call_tool("wiki_fail", {})
        with pytest.raises(MCPError, match="there is no tool 'wiki_poisoned'"):
            await client.call_tool("wiki_poisoned", {})
        home = await client.read_resource("mcp-wiki:wiki://home")
        prompt = await client.get_prompt("wiki_greet", {"name": "Bob"})
        resources = (await client.list_resources()).resources
    assert "wiki_note" in names
    assert "wiki_poisoned" not in names
    assert seen.noted == ["Call <EMAIL_1>."]
    assert "ann@" not in json.dumps(result.model_dump(mode="json"))
    assert result.structured_content["kept"].endswith("write to <EMAIL>")
    assert told == ["1 of 2"], "nobody has read what it says"
    assert text_of(blocked).startswith("CONTENT_FILTER: ")
    assert text_of(image).startswith("UNSCREENABLE: content[0].data cannot be read as text")
    assert failed.is_error
    assert "ann@" not in text_of(failed)
    for said in (home, prompt, *resources):
        assert "<EMAIL>" in json.dumps(said.model_dump(mode="json"))
        assert "ann@" not in json.dumps(said.model_dump(mode="json"))


async def test_without_guards_that_act_an_image_passes(servers: Servers) -> None:
    url = await servers.listen(app_of(wiki(Seen())))
    gateway = await servers.gateway()
    await servers.put(gateway, "wiki", f"{url}/mcp")
    async with client_of(gateway) as client:
        result = await client.call_tool("wiki_picture", {})
        large = await client.call_tool("wiki_large", {})
    assert result.content == [types.ImageContent(data="iVBORw0KGgo=", mime_type="image/png")]
    assert large.is_error


async def test_resources_and_prompts_have_names_of_their_own(servers: Servers) -> None:
    urls = [await servers.listen(app_of(wiki(Seen()))) for _ in range(2)]
    gateway = await servers.gateway()
    for name, url in zip(("one", "two"), urls, strict=True):
        await servers.put(gateway, name, f"{url}/mcp")
    async with client_of(gateway) as client:
        uris = [one.uri for one in (await client.list_resources()).resources]
        templates = [one.uri_template for one in (await client.list_resource_templates()).resource_templates]
        prompts = [one.name for one in (await client.list_prompts()).prompts]
        page = await client.read_resource("mcp-two:wiki://page/x")
        prompt = await client.get_prompt("one_greet", {"name": "Bob"})
        for uri in ("wiki://home", "mcp-three:wiki://home", "mcp-one:"):
            with pytest.raises(MCPError, match="there is no resource"):
                await client.read_resource(uri)
        with pytest.raises(MCPError, match="there is no prompt"):
            await client.get_prompt("one_nothing", {})
    assert uris == ["mcp-one:wiki://home", "mcp-two:wiki://home"]
    assert templates == ["mcp-one:wiki://page/{name}", "mcp-two:wiki://page/{name}"]
    assert prompts == ["one_greet", "two_greet"]
    [content] = page.model_dump()["contents"]
    assert (content["uri"], content["text"]) == ("mcp-two:wiki://page/x", "The page x.")
    assert prompt.model_dump()["messages"][0]["content"]["text"] == "Greet Bob, at ann@example.org."


async def test_each_tool_has_a_permission_of_its_own(servers: Servers, tmp_path: Path) -> None:
    url = await servers.listen(app_of(wiki(Seen())))
    broken = await servers.listen(answering(500))
    gateway = await servers.gateway()
    await servers.put(gateway, "wiki", f"{url}/mcp")
    await servers.put(gateway, "gone", f"{broken}/mcp")
    stored = json.loads((tmp_path / "keys.json").read_text())
    stored["keys"][0]["scopes"] = ["mcp.call:wiki/note"]
    (tmp_path / "keys.json").write_text(json.dumps(stored))

    async def narrowed() -> bool:
        async with client_of(gateway) as client:
            return [tool.name for tool in (await client.list_tools()).tools] == ["wiki_note"]

    await until(narrowed)
    async with client_of(gateway) as client:
        assert (await client.list_prompts()).prompts == []
        for name in ("wiki_fail", "wiki_nothing", "none_nothing", "gone_fail"):  # what is hidden is not there
            with pytest.raises(MCPError, match=f"^there is no tool '{name}'$"):
                await client.call_tool(name, {})
        for name in ("wiki_greet", "none_greet"):
            with pytest.raises(MCPError, match=f"^there is no prompt '{name}'$"):
                await client.get_prompt(name, {"name": "Bob"})
        for uri in ("mcp-wiki:wiki://home", "mcp-none:wiki://home"):
            with pytest.raises(MCPError, match=f"^there is no resource '{uri}'$"):
                await client.read_resource(uri)


@pytest.mark.parametrize("mode", MODES)
async def test_a_tool_that_hangs_ends_in_time_and_when_it_is_cancelled(servers: Servers, mode: str) -> None:
    seen = Seen()
    url = await servers.listen(app_of(wiki(seen)))
    gateway = await servers.gateway()
    request: dict[str, Any] = {"timeout": {"seconds": 1}}
    await servers.put(gateway, "wiki", f"{url}/mcp", **request)
    async with client_of(gateway, mode) as client:
        result = await client.call_tool("wiki_hang", {})
        assert text_of(result) == (
            "DEADLINE_EXCEEDED: a call of the server wiki did not finish within 1 seconds, the limit that is set by "
            "the timeout of the MCP server wiki"
        )
        async with asyncio.timeout(20):
            await seen.cancelled.wait()
        seen.cancelled.clear()
        seen.begun.clear()
        await servers.put(gateway, "wiki", f"{url}/mcp")
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def once_begun() -> None:
                    await seen.begun.wait()
                    scope.cancel()

                group.start_soon(once_begun)
                await client.call_tool("wiki_hang", {})
        async with asyncio.timeout(20):
            await seen.cancelled.wait()


@pytest.mark.parametrize(
    ("app", "said"),
    [
        (answering(500), "UNAVAILABLE"),
        (answering(302, location="http://169.254.169.254/latest/"), "UNAVAILABLE"),
        (answering(307, location="https://thief.example/mcp"), "UNAVAILABLE"),
        (answering(200, b"<html>", content_type="text/html"), "UNAVAILABLE"),
        (answering(200, b"x" * (17 << 20), content_type="application/json"), "more than 16 MiB"),
        (answering(200, b"{}", content_type="application/json", content_encoding="gzip"), "compressed"),
    ],
)
async def test_a_server_that_is_none_is_left_out_and_its_tools_fail(servers: Servers, app: App, said: str) -> None:
    url = await servers.listen(app)
    gateway = await servers.gateway()
    await servers.put(gateway, "odd", f"{url}/mcp")
    async with client_of(gateway) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["ask_rag"]
        result = await client.call_tool("odd_tool", {})
    assert result.is_error
    assert text_of(result).startswith("MCP_SERVER_UNAVAILABLE: ")
    assert said in text_of(result)


async def test_a_server_that_dies_is_reported_and_found_again(servers: Servers) -> None:
    gateway = None
    async with listening(app_of(wiki(Seen()))) as url:
        servers.urls.append(url)
        gateway = await servers.gateway()
        await servers.put(gateway, "wiki", f"{url}/mcp")
        async with client_of(gateway) as client:
            assert not (await client.call_tool("wiki_note", NOTE)).is_error
    async with client_of(gateway) as client:
        result = await client.call_tool("wiki_note", NOTE)
        assert text_of(result).startswith("MCP_SERVER_UNAVAILABLE: ")
        assert (await client.list_tools()).tools[0].name == "ask_rag"


async def test_a_list_without_end_is_followed_so_far(servers: Servers) -> None:
    url = await servers.listen(endless())
    gateway = await servers.gateway()
    await servers.put(gateway, "endless", f"{url}/mcp")
    async with client_of(gateway) as client:
        assert len((await client.list_tools()).tools) == 1 + 20


@pytest.mark.parametrize(("secret", "good"), [("right", True), ("wrong", False)])
async def test_oauth_by_client_credentials(servers: Servers, secret: str, good: bool) -> None:
    seen = Seen()
    wall = Wall(app_of(wiki(seen)), "right")
    wall.url = url = await servers.listen(wall)
    gateway = await servers.gateway()
    oauth = mcp_server_pb2.McpOAuthClient(issuer=url, client_id="gateway")
    stored = await servers.put(gateway, "wiki", f"{url}/mcp", oauth=oauth, client_secret=secret)
    assert stored.oauth == oauth
    async with client_of(gateway) as client:
        result = await client.call_tool("wiki_note", NOTE)
        if good:
            again = await client.call_tool("wiki_note", NOTE)
            assert (again.is_error, wall.asked) == (False, 1), "a token is used while it is good"
    assert result.is_error is not good
    if not good:
        assert "OAuth failed: " in text_of(result)
        assert secret not in text_of(result)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/mcp", "https://user:pass@wiki.example/mcp", "ftp://wiki.example/mcp", "wiki.example",
        "https://wiki.example/mcp#x", "http://wiki.example/mcp", "https://wiki.example:8443/mcp", "",
    ],
)  # fmt: skip
async def test_a_url_that_may_not_be_asked_is_refused(servers: Servers, url: str) -> None:
    gateway = await servers.gateway()
    with pytest.raises(grpc.aio.AioRpcError, match="url") as caught:
        await servers.put(gateway, "wiki", url)
    assert "user:pass" not in str(caught.value.details())


async def test_a_name_that_leads_inside_is_refused_when_it_is_asked(servers: Servers) -> None:
    gateway = await servers.gateway()
    await servers.put(gateway, "inside", "https://localhost/mcp")
    async with client_of(gateway) as client:
        result = await client.call_tool("inside_tool", {})
    assert "localhost has an address inside a private network" in text_of(result)


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("ask", {}, "name must be"),
        ("a_b", {}, "name must be"),
        ("wiki", {"headers": {"Host": "x"}}, "no header that can be set"),
        ("wiki", {"headers": {"x-key": "a\r\nb: c"}}, "visible characters"),
        ("wiki", {"tools": ["a*b"]}, "tools are at most"),
        ("wiki", {"timeout": {"seconds": 601}}, "timeout must be"),
        ("wiki", {"client_secret": "x"}, "oauth and client_secret go together"),
        ("wiki", {"keep_secrets": True}, "there is no MCP server 'wiki'"),
    ],
)
async def test_what_is_wrong_with_a_registration_is_told(
    servers: Servers, name: str, fields: dict[str, Any], said: str
) -> None:
    gateway = await servers.gateway()
    with pytest.raises(grpc.aio.AioRpcError, match=said):
        await servers.put(gateway, name, "https://wiki.example/mcp", **fields)


async def test_calls_are_counted_limited_and_on_record(servers: Servers, records_url: str) -> None:
    url = await servers.listen(app_of(wiki(Seen())))
    gateway = await servers.gateway(limits_requests_per_minute=1, records_url=records_url)
    await servers.put(gateway, "wiki", f"{url}/mcp")
    async with client_of(gateway) as client:
        assert not (await client.call_tool("wiki_note", NOTE)).is_error
        assert text_of(await client.call_tool("wiki_note", NOTE)).startswith("RATE_LIMITED: ")
    assert await rows(records_url, "SELECT agent, model FROM usage") == [("mcp/wiki/note", "mcp/wiki")]

    async def decisions() -> list[str] | None:
        """An answer is an event of a stream, whose call is put on record at its end."""
        found = [json.loads(record) for (record,) in await rows(records_url, "SELECT record FROM audit_records")]
        calls = [record["decision"] for record in found if record.get("model") == "mcp/wiki/note"]
        return calls if len(calls) == 2 else None

    assert sorted(await until(decisions)) == ["allowed", "refused"]


async def test_a_server_that_fails_again_and_again_is_left_alone(servers: Servers) -> None:
    url = await servers.listen(app_of(wiki(Seen())))
    gateway = await servers.gateway()
    timeout: dict[str, Any] = {"timeout": {"nanos": 50_000_000}}
    await servers.put(gateway, "wiki", f"{url}/mcp", **timeout)
    async with client_of(gateway) as client:
        said = [text_of(await client.call_tool("wiki_hang", {})) for _ in range(6)]
    assert all(one.startswith("DEADLINE_EXCEEDED: ") for one in said[:5])
    assert said[5].startswith("MCP_SERVER_UNAVAILABLE: the server wiki is left alone")


@pytest.mark.parametrize("code", [types.CONNECTION_CLOSED, types.INTERNAL_ERROR])
@pytest.mark.parametrize("words", ["no luck", "Connection closed"])
async def test_an_error_that_a_server_sends_is_not_its_death(servers: Servers, code: int, words: str) -> None:
    odd = Odd(types.ErrorData(code=code, message=words))
    url = await servers.listen(odd.app())
    gateway = await servers.gateway()
    await servers.put(gateway, "odd", f"{url}/mcp")
    async with client_of(gateway) as client:
        for _ in range(7):
            refused = await client.call_tool("odd_fail", {})
            assert text_of(refused) == f"MCP_SERVER_REFUSED: the server odd answers: {words}"
        for _ in range(7):
            assert "does not hold to the protocol" in text_of(await client.call_tool("odd_malformed", {}))
        assert text_of(await client.call_tool("odd_fine", {})) == "fine"
        assert odd.opened == 1
        assert "the server odd died during the call" in text_of(await client.call_tool("odd_cut", {}))


async def test_a_session_that_is_lost_over_http_is_opened_anew(servers: Servers) -> None:
    odd = Odd()
    url = await servers.listen(odd.app())
    gateway = await servers.gateway()
    await servers.put(gateway, "odd", f"{url}/mcp")
    async with client_of(gateway) as client:
        assert text_of(await client.call_tool("odd_fine", {})) == "fine"
        odd.sessions.clear()
        assert (await client.call_tool("odd_fine", {})).is_error
        assert text_of(await client.call_tool("odd_fine", {})) == "fine"
    assert odd.opened == 2


@pytest.mark.parametrize("method", ["initialize", "tools/list"])
async def test_a_server_that_hangs_is_waited_for_once(
    servers: Servers, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.mcp.servers.START_SECONDS", 0.3)
    odd = Odd(hanging=method)
    urls = [await servers.listen(app) for app in (odd.app(), app_of(wiki(Seen())))]
    gateway = await servers.gateway()
    await servers.put(gateway, "wiki", f"{urls[1]}/mcp")
    async with client_of(gateway) as client:
        await client.list_tools()  # what it has is known from now on
        await servers.put(gateway, "odd", f"{urls[0]}/mcp")
        for _ in range(2):
            assert "wiki_note" in [tool.name for tool in (await client.list_tools()).tools]
        assert odd.asked.count(method) == 1
        assert "again in" in text_of(await client.call_tool("odd_fine", {}))


async def test_a_server_is_not_told_of_traces(servers: Servers) -> None:
    odd = Odd()
    url = await servers.listen(odd.app())
    stored = StoredServer("acme", "odd", McpServerSpec(f"{url}/mcp"), "", 0)
    server = TenantServer(stored, {}, lambda: Egress([], [HostRule.parse(url)]))
    inside = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=False))

    async def report(progress: float, total: float | None, message: str | None) -> None:
        pass

    with use_span(inside):
        result = await server.ask("ann", 10, lambda client: client.call_tool("fine", {}, progress_callback=report))
    await server.aclose()
    assert text_of(result) == "fine"
    assert "traceparent" not in odd.said
    assert "progressToken" in odd.said, "the rest of _meta goes out"


async def test_a_name_that_no_column_takes_is_on_record_as_it_fits(servers: Servers, records_url: str) -> None:
    url = await servers.listen(app_of(wiki(Seen())))
    gateway = await servers.gateway(records_url=records_url)
    await servers.put(gateway, "wiki", f"{url}/mcp", tools=["long*"])
    async with client_of(gateway) as client:
        [_, tool] = (await client.list_tools()).tools
        assert text_of(await client.call_tool(tool.name, {})) == "long"
    [(agent,)] = await rows(records_url, "SELECT agent FROM usage")
    assert agent.startswith("mcp/wiki/longlong")
    assert len(agent) <= len("mcp/wiki/") + 64


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_no_server_is_asked_for_the_tools_of_another(servers: Servers, version: str) -> None:
    seen = Seen()
    url = await servers.listen(watched(app_of(wiki(seen)), seen))
    gateway = await servers.gateway()
    await servers.put(gateway, "wiki", f"{url}/mcp")
    prefix = "io.modelcontextprotocol"
    meta = {f"{prefix}/protocolVersion": version, f"{prefix}/clientCapabilities": {}}
    params = {"name": "ask_rag", "arguments": {"question": "why?"}, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    named = {"mcp-protocol-version": version, "mcp-method": "tools/call", "mcp-name": "ask_rag"}
    accept = {"accept": "application/json, text/event-stream"}
    response = await gateway.http.post("/mcp", json=body, headers=HEADERS | named | accept)
    assert "Yes." in response.text
    assert seen.headers == []
