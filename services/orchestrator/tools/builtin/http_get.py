"""HTTP GET of the hosts that the agent's spec allows."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import httpx
import orjson
from selectolax.lexbor import LexborHTMLParser

from services.orchestrator.domain.tool import Declaration, Reason, ToolContext, ToolFailed
from services.orchestrator.tools.builtin.schemas import obj, text
from services.runtime.breaker import Breaker, Breakers
from services.runtime.hosts import PORTS, HostRule, Resolve, is_public, resolve
from services.runtime.pinned import pinned

MAX_REDIRECTS = 4
MAX_BYTES = 1 << 20
MAX_ERROR = 500
TEXTS = ("application/json", "application/xml", "application/xhtml+xml", "application/javascript", "application/yaml")
HTML = ("text/html", "application/xhtml+xml")
BUSY = (429, 502, 503, 504)
UNSEEN = "script, style, noscript, template, svg"
SECONDS = 30.0


class HttpGet:
    """Gets a page as text. Each hop of a redirect is held to the same rules, and the address that was checked is the
    one that is asked, so that a name cannot change between the two."""

    idempotent = True

    def __init__(
        self,
        hosts: Sequence[HostRule],
        *,
        private: Sequence[HostRule] = (),
        max_bytes: int = MAX_BYTES,
        resolver: Resolve = resolve,
        verify: Any = True,
    ) -> None:
        """`private`: hosts that may have addresses that are not the internet's. `verify`: as httpx takes it."""
        self._hosts = tuple(hosts)
        self._private = tuple(private)
        self._max_bytes = max_bytes
        self._resolve = resolver
        self._verify = verify
        self._breakers = Breakers(partial(Breaker, share=0.5, least=5, seconds=30))
        self.declaration = Declaration(
            "http_get",
            f"Gets a web page or a JSON document, as text. Hosts: {', '.join(map(str, hosts))}.",
            obj({"url": text("The URL, with its scheme.", 4000)}, "url"),
        )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        url = _url(arguments["url"])
        # No connection is kept: it was opened for one name, and the next may have another at the same address.
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(verify=self._verify, trust_env=False, timeout=SECONDS, limits=limits) as client:
            for _ in range(MAX_REDIRECTS + 1):
                response = await self._judged(client, url)
                if isinstance(response, str):
                    return response
                url = response
        raise ToolFailed(f"more than {MAX_REDIRECTS} redirects")

    async def _judged(self, client: httpx.AsyncClient, url: httpx.URL) -> str | httpx.URL:
        """The page, or where it has moved to, of a host that has not failed lately."""
        breaker = self._breakers.of(url.host)
        if not breaker.admits():
            raise ToolFailed(
                f"{url.host} is left alone, for its last answers failed; the next try is in {breaker.left:.1f} s",
                reason=Reason.UNAVAILABLE,
            )
        try:
            response = await self._get(client, url)
        except httpx.TransportError as error:
            breaker.failed()
            raise _gone(f"{url.host} did not answer: {type(error).__name__}") from error
        except ToolFailed as error:
            if error.retryable:
                breaker.failed()
            else:
                breaker.succeeded()
            raise
        breaker.succeeded()
        return response

    async def _get(self, client: httpx.AsyncClient, url: httpx.URL) -> str | httpx.URL:
        """The page, or where it has moved to."""
        address = await self._address(url)
        request = pinned(client, url, address, {"User-Agent": "headworks"})
        response = await client.send(request, stream=True)
        try:
            if response.has_redirect_location:
                return _url(str(url.join(response.headers["location"])))
            return await self._page(response)
        finally:
            await response.aclose()

    async def _address(self, url: httpx.URL) -> str:
        """The address to ask. Raises ToolFailed for a URL that is not allowed."""
        port = url.port or PORTS[url.scheme]
        if not any(rule.allows(url.scheme, url.host, port) for rule in self._hosts):
            allowed = ", ".join(map(str, self._hosts))
            raise _refused(f"{url.scheme}://{url.host}:{port} is not allowed; allowed: {allowed}")
        try:
            addresses = await self._resolve(url.host, port)
        except OSError as error:
            raise _gone(f"the name {url.host} could not be resolved") from error
        if not addresses:
            raise _gone(f"the name {url.host} has no address")
        private = any(rule.allows(url.scheme, url.host, port) for rule in self._private)
        if not private and not all(is_public(address) for address in addresses):
            raise _refused(f"{url.host} has an address inside a private network")
        return addresses[0]

    async def _page(self, response: httpx.Response) -> str:
        kind, content, cut = await self._content(response)
        if response.status_code >= 400:
            said = content[:MAX_ERROR]
            raise ToolFailed(f"HTTP {response.status_code}: {said}", retryable=response.status_code in BUSY)
        if kind.endswith(("/json", "+json")) and not cut:
            try:
                orjson.loads(content)
            except ValueError as error:
                raise ToolFailed("the answer says it is JSON, but is not", reason=Reason.INVALID_RESULT) from error
        return content + (f"\n[cut here: the page is longer than {self._max_bytes} bytes]" if cut else "")

    async def _content(self, response: httpx.Response) -> tuple[str, str, bool]:
        """The content's type, its text, and whether the end of it was left out."""
        kind = response.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
        if not (kind.startswith("text/") or kind in TEXTS or kind.endswith(("+json", "+xml"))):
            raise ToolFailed(f"the answer is {kind[:100]}, not text", reason=Reason.INVALID_RESULT)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise ToolFailed("the answer is compressed, which was not asked for", reason=Reason.INVALID_RESULT)
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._max_bytes:
                break
        cut = len(body) > self._max_bytes
        decoded = _decoded(bytes(body[: self._max_bytes]), response.charset_encoding)
        return kind, html_text(decoded) if kind in HTML else decoded, cut


def html_text(html: str) -> str:
    """What a reader sees of a page: its title and its text, one block a line."""
    tree = LexborHTMLParser(html)
    for node in tree.css(UNSEEN):
        node.decompose()
    title = tree.css_first("title")
    body = tree.body
    lines = (body.text(separator="\n") if body else "").splitlines()
    blocks = [" ".join(line.split()) for line in [title.text() if title else "", *lines]]
    return "\n".join(block for block in blocks if block)


def _url(given: str) -> httpx.URL:
    try:
        url = httpx.URL(given.strip())
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise ToolFailed("this is no URL", reason=Reason.INVALID_ARGUMENTS) from error
    if url.scheme not in PORTS or not url.host:
        raise ToolFailed("a URL begins with https:// or http:// and a host", reason=Reason.INVALID_ARGUMENTS)
    if url.userinfo:
        raise _refused("a URL with a user or a password is not allowed")
    return url.copy_with(fragment=None)


def _decoded(body: bytes, charset: str | None) -> str:
    try:
        return body.decode(charset or "utf-8", "replace")
    except LookupError:  # a charset that nobody knows
        return body.decode("utf-8", "replace")


def _refused(message: str) -> ToolFailed:
    return ToolFailed(message, reason=Reason.NOT_ALLOWED)


def _gone(message: str) -> ToolFailed:
    return ToolFailed(message, retryable=True, reason=Reason.UNAVAILABLE)
