"""HTTP GET, of a real server."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import orjson
import pytest

from services.orchestrator.domain.tool import Reason, ToolPolicy, ToolResult
from services.orchestrator.tools.builtin.http_get import HttpGet, html_text
from services.orchestrator.tools.toolbox import Toolbox
from services.runtime.hosts import HostRule
from tests.fakes.tools import CONTEXT, call

HTML = """<html><head><title>T</title><style>x{}</style></head>
<body><h1>Head</h1><script>bad()</script><p>One <b>two</b></p>"""


class Site:
    """Answers as `pages` say: path -> (status, headers, body). `seen`: the heads of the requests."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.port = 0
        self.sent = 0
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {
            "/text": (200, {"content-type": "text/plain; charset=utf-8"}, "語 text".encode()),
            "/latin": (200, {"content-type": "text/plain; charset=latin-1"}, b"caf\xe9"),
            "/html": (200, {"content-type": "text/html"}, HTML.encode()),
            "/json": (200, {"content-type": "application/json"}, b'{"a": 1}'),
            "/bad.json": (200, {"content-type": "application/json"}, b'{"a": '),
            "/image": (200, {"content-type": "image/png"}, b"\x89PNG"),
            "/gzip": (200, {"content-type": "text/plain", "content-encoding": "gzip"}, gzip.compress(b"x" * 1_000_000)),
            "/none": (404, {"content-type": "text/plain"}, b"not here"),
            "/busy": (503, {"content-type": "text/plain"}, b"later"),
            "/loop": (302, {"location": "/loop"}, b""),
            "/near": (302, {"location": "/text"}, b""),
        }

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.seen.append(head)
            path = head.split()[1]
            if path == "/endless":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
                while True:
                    writer.write(b"x" * 65536)
                    self.sent += 65536
                    await writer.drain()
            if path == "/silent":
                await reader.read()
            status, headers, body = self.pages[path]
            lines = [f"HTTP/1.1 {status} X", *(f"{key}: {value}" for key, value in headers.items())]
            writer.write("\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Site]:
    site = Site()
    server = await asyncio.start_server(site.handle, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with listening() as made:
        yield made


async def here(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


def getter(site: Site, max_bytes: int = 1 << 20) -> HttpGet:
    rules = [HostRule.parse(f"http://site.test:{site.port}")]
    return HttpGet(rules, private=rules, resolver=here, max_bytes=max_bytes)


async def get(tool: HttpGet, url: str, timeout: float = 10) -> ToolResult:
    toolbox = Toolbox([tool], {"http_get": ToolPolicy(timeout=timeout)})
    return await toolbox.call(call(orjson.dumps({"url": url}).decode(), "http_get"), CONTEXT)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/text", "語 text"),
        ("/latin", "café"),
        ("/html", "T\nHead\nOne\ntwo"),
        ("/json", '{"a": 1}'),
        ("/near", "語 text"),
    ],
)
async def test_texts_are_read(site: Site, path: str, content: str) -> None:
    result = await get(getter(site), f"http://site.test:{site.port}{path}#part")
    assert (result.content, result.is_error) == (content, False)
    assert f"Host: site.test:{site.port}" in site.seen[0]
    assert "#" not in site.seen[0].split("\r\n")[0]


@pytest.mark.parametrize(
    ("path", "reason", "words"),
    [
        ("/image", Reason.INVALID_RESULT, "image/png"),
        ("/gzip", Reason.INVALID_RESULT, "compressed"),
        ("/bad.json", Reason.INVALID_RESULT, "is not"),
        ("/none", Reason.FAILED, "HTTP 404: not here"),
        ("/busy", Reason.FAILED, "HTTP 503: later"),
        ("/loop", Reason.FAILED, "redirects"),
    ],
)
async def test_what_cannot_be_read_is_told(site: Site, path: str, reason: Reason, words: str) -> None:
    result = await get(getter(site), f"http://site.test:{site.port}{path}")
    assert result.error_reason == reason
    assert words in result.content


async def test_a_page_without_end_is_cut_while_it_is_read(site: Site) -> None:
    result = await get(getter(site, max_bytes=1000), f"http://site.test:{site.port}/endless")
    assert result.content == "x" * 1000 + "\n[cut here: the page is longer than 1000 bytes]"
    assert site.sent < 50 << 20


async def test_a_server_that_says_nothing(site: Site) -> None:
    result = await get(getter(site), f"http://site.test:{site.port}/silent", timeout=0.3)
    assert result.error_reason == Reason.TIMEOUT


@pytest.mark.parametrize(
    "url",
    [
        "https://site.test/", "http://site.test/", "http://other.test:{port}/text", "http://127.0.0.1:{port}/text",
        "http://site.test.evil.test:{port}/text", "http://evilsite.test:{port}/text", "http://site.test@evil.test/",
        "http://user:word@site.test:{port}/text", "http://sub.site.test:{port}/text",
    ],
)  # fmt: skip
async def test_other_hosts_are_refused(site: Site, url: str) -> None:
    result = await get(getter(site), url.replace("{port}", str(site.port)))
    assert (result.error_reason, site.seen) == (Reason.NOT_ALLOWED, [])


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://site.test/", "site.test", "http://", "x y"])
async def test_what_is_no_url(site: Site, url: str) -> None:
    assert (await get(getter(site), url)).error_reason == Reason.INVALID_ARGUMENTS


@pytest.mark.parametrize("to", ["http://other.test/", "https://site.test/", "//other.test/x", "http://127.0.0.1:1/"])
async def test_a_redirect_to_another_host_is_refused(site: Site, to: str) -> None:
    site.pages["/away"] = (302, {"location": to}, b"")
    result = await get(getter(site), f"http://site.test:{site.port}/away")
    assert (result.error_reason, len(site.seen)) == (Reason.NOT_ALLOWED, 1)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::", "::", "ff02::1",
    ],
)  # fmt: skip
async def test_private_addresses_are_refused_after_the_name_is_resolved(site: Site, address: str) -> None:
    async def inside(host: str, port: int) -> Sequence[str]:
        return ["93.184.216.34", address]

    tool = HttpGet([HostRule.parse(f"http://site.test:{site.port}")], resolver=inside)
    result = await get(tool, f"http://site.test:{site.port}/text")
    assert (result.error_reason, site.seen) == (Reason.NOT_ALLOWED, [])
    assert "private network" in result.content


async def test_the_address_that_was_checked_is_the_one_that_is_asked(site: Site) -> None:
    """A name that is resolved once cannot point elsewhere the second time."""
    asked = 0

    async def changing(host: str, port: int) -> Sequence[str]:
        nonlocal asked
        asked += 1
        return ["127.0.0.1"] if asked == 1 else ["10.0.0.1"]

    rules = [HostRule.parse(f"http://site.test:{site.port}")]
    result = await get(HttpGet(rules, private=rules, resolver=changing), f"http://site.test:{site.port}/text")
    assert (result.content, asked) == ("語 text", 1)


async def test_a_name_that_is_none_and_a_port_where_nobody_is() -> None:
    async def nobody(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    rules = [HostRule.parse("http://site.test:9")]
    for tool in (HttpGet(rules, resolver=nobody), HttpGet(rules, private=rules, resolver=here)):
        assert (await get(tool, "http://site.test:9/")).error_reason == Reason.UNAVAILABLE


@pytest.mark.parametrize(
    ("rule", "scheme", "host", "port", "allowed"),
    [
        ("example.com", "https", "example.com", 443, True),
        ("example.com", "https", "EXAMPLE.com.", 443, True),
        ("example.com", "http", "example.com", 80, False),
        ("example.com", "https", "example.com", 8443, False),
        ("example.com:8443", "https", "example.com", 8443, True),
        ("http://example.com", "http", "example.com", 80, True),
        ("*.example.com", "https", "a.b.example.com", 443, True),
        ("*.example.com", "https", "example.com", 443, False),
        ("*.example.com", "https", "badexample.com", 443, False),
        ("*", "https", "anything.org", 443, True),
        ("https://[::1]:8443", "https", "::1", 8443, True),
    ],
)
def test_the_rules_of_hosts(rule: str, scheme: str, host: str, port: int, allowed: bool) -> None:
    assert HostRule.parse(rule).allows(scheme, host, port) is allowed


@pytest.mark.parametrize("rule", ["", "a b", "ftp://x", "x:99999", "x:0", "http://", "x/path", "a*b.com", "*.*.com"])
def test_a_rule_that_is_none(rule: str) -> None:
    with pytest.raises(ValueError, match=r"is no host|no such port"):
        HostRule.parse(rule)


def test_the_text_of_broken_html() -> None:
    assert html_text("<p>a<p>b") == "a\nb"
    assert html_text("") == ""
    assert html_text("<div>" * 5000 + "deep") == "deep"


async def test_a_host_that_fails_again_and_again_is_left_alone(site: Site) -> None:
    toolbox = Toolbox([getter(site)])

    async def get(path: str) -> ToolResult:
        url = orjson.dumps({"url": f"http://site.test:{site.port}{path}"}).decode()
        return await toolbox.call(call(url, "http_get"), CONTEXT)

    for _ in range(5):
        assert "HTTP 503" in (await get("/busy")).content
    left = await get("/text")
    assert (left.error_reason, len(site.seen)) == (Reason.UNAVAILABLE, 5)
    assert "site.test is left alone" in left.content
