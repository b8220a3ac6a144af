"""Polite GETs of one host: by its robots.txt, one at a time, at its address, and no further than its redirects stay.

The address is looked up once, and must be the internet's unless private ones are allowed: a name cannot lead into the
network that the command runs in.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx
from protego import Protego

from services.runtime.hosts import PORTS, is_public, resolve_now
from services.runtime.pinned import pinned

AGENT = "headworks"
USER_AGENT = f"{AGENT} (document ingestion)"
MOST_REDIRECTS = 5
MOST_ROBOTS = 512 << 10
SECONDS = 30.0
BUSY = (429, 503)
GONE = (404, 410)
LONGEST_WAIT = 60.0
NOT_MODIFIED = 304


class FetchFailed(Exception):
    """A page was not had; in words. `gone`: there is none of this name here. `status`: what the host answered, 0 where
    that is not why."""

    def __init__(self, why: str, *, gone: bool = False, status: int = 0) -> None:
        super().__init__(why)
        self.gone = gone or status in GONE
        self.status = status

    @property
    def refused(self) -> bool:
        """The host will not give it, however often it is asked."""
        return 400 <= self.status < 500


@dataclass(frozen=True, slots=True)
class Manners:
    """How a host is asked: seconds between two requests, bytes of one page, and whether it may have an address that is
    not the internet's."""

    delay: float = 1.0
    page_bytes: int = 50 << 20
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class Validators:
    """What a page was known by when it was had: its ETag, its Last-Modified."""

    etag: str = ""
    modified: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Of a request for the page if it has changed since."""
        given = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: the URL that it came from in the end. `data` is None for a page that has not changed."""

    url: str
    data: bytes | None
    headers: httpx.Headers
    validators: Validators = field(default_factory=Validators)


def parse_url(text: str) -> httpx.URL:
    """An http or https URL, without its fragment. Raises ValueError, in words."""
    try:
        url = httpx.URL(text.strip())
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ValueError(f"{text[:200]!r} is no URL") from error
    if url.scheme not in PORTS or not url.host:
        raise ValueError(f"{text[:200]!r} is no URL of http or https with a host")
    if url.userinfo:
        raise ValueError("a URL with a user or a password is not allowed")
    return url.copy_with(fragment=None, path=url.path or "/")


def origin(url: httpx.URL) -> tuple[str, int]:
    """The host and port. http and https on their own ports are one: sites move from one to the other."""
    port = url.port or PORTS[url.scheme]
    return url.host.lower().rstrip("."), PORTS["https"] if port in PORTS.values() else port


class Fetcher:
    """Asks the host of `start`. Raises FetchFailed where it has no address that may be asked."""

    def __init__(
        self, start: httpx.URL, manners: Manners, *,
        resolver: Callable[[str, int], Sequence[str]] = resolve_now, sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self._origin = origin(start)
        self._manners = manners
        self._sleep = sleep
        self._next = 0.0
        self._address = self._resolved(start, resolver)
        self._client = httpx.Client(trust_env=False, timeout=SECONDS)
        self._robots: dict[str, Protego] = {}
        self._delay = manners.delay

    def close(self) -> None:
        self._client.close()

    def same_host(self, url: httpx.URL) -> bool:
        return origin(url) == self._origin

    def allowed(self, url: httpx.URL) -> bool:
        """Whether the host's robots.txt lets it be asked for. Raises FetchFailed where that cannot be had."""
        if url.scheme not in self._robots:
            self._robots[url.scheme] = self._read_robots(url)
        return self._robots[url.scheme].can_fetch(str(url), AGENT)

    def get(self, url: httpx.URL, known: Validators | None = None) -> Page:
        """The page, unless it is still as it was `known`. Raises FetchFailed."""
        for _ in range(MOST_REDIRECTS + 1):
            if not self.allowed(url):
                raise FetchFailed("robots.txt does not allow it", gone=True)
            page = self._asked(url, known or Validators())
            if isinstance(page, Page):
                return page
            url = page
            if not self.same_host(url):
                raise FetchFailed(f"it has moved to another host: {url.host}", gone=True)
        raise FetchFailed(f"more than {MOST_REDIRECTS} redirects")

    def _resolved(self, url: httpx.URL, resolver: Callable[[str, int], Sequence[str]]) -> str:
        try:
            addresses = resolver(url.host, url.port or PORTS[url.scheme])
        except OSError as error:
            raise FetchFailed(f"the name {url.host} could not be resolved") from error
        if not addresses:
            raise FetchFailed(f"the name {url.host} has no address")
        if not self._manners.allow_private and not all(is_public(address) for address in addresses):
            raise FetchFailed(f"{url.host} has an address inside a private network; --allow-private lets it be asked")
        return addresses[0]

    def _read_robots(self, url: httpx.URL) -> Protego:
        """A host that has none allows all; one whose cannot be had allows nothing for now (RFC 9309)."""
        at = url.copy_with(path="/robots.txt", query=None)
        for _ in range(MOST_REDIRECTS + 1):
            try:
                page = self._asked(at, Validators(), MOST_ROBOTS)
            except FetchFailed as error:
                if error.refused:
                    return Protego.parse("")
                raise FetchFailed(f"robots.txt cannot be had: {error}") from error
            if isinstance(page, Page):
                robots = Protego.parse((page.data or b"").decode("utf-8", "replace"))
                self._delay = max(self._delay, min(robots.crawl_delay(AGENT) or 0.0, LONGEST_WAIT))
                return robots
            if not self.same_host(page):
                return Protego.parse("")
            at = page
        return Protego.parse("")

    def _asked(self, url: httpx.URL, known: Validators, most: int = 0) -> Page | httpx.URL:
        """The page, or where it has moved to."""
        for last in (False, True):
            self._wait()
            try:
                answer = self._send(url, known, most or self._manners.page_bytes)
            except httpx.TransportError as error:
                raise FetchFailed(f"{url.host} did not answer: {type(error).__name__}") from error
            if not isinstance(answer, float):
                return answer
            if last or answer > LONGEST_WAIT:
                raise FetchFailed("the host is busy, and says to try again later")
            self._sleep(answer)
        raise AssertionError

    def _wait(self) -> None:
        now = time.monotonic()
        if now < self._next:
            self._sleep(self._next - now)
        self._next = max(now, self._next) + self._delay

    def _send(self, url: httpx.URL, known: Validators, most: int) -> Page | httpx.URL | float:
        """The page, where it has moved to, or the seconds after which to ask again."""
        request = pinned(self._client, url, self._address, {"User-Agent": USER_AGENT, **known.headers})
        response = self._client.send(request, stream=True)
        try:
            headers = response.headers
            if response.has_redirect_location:
                return _moved(url, headers["location"])
            if response.status_code == NOT_MODIFIED and known.headers:
                return Page(str(url), None, headers, known)
            if response.status_code in BUSY:
                return _seconds(headers.get("retry-after", ""))
            if response.status_code != httpx.codes.OK:
                raise FetchFailed(f"HTTP {response.status_code}", status=response.status_code)
            if headers.get("content-encoding", "identity").lower() != "identity":
                raise FetchFailed("the answer is compressed, which was not asked for")
            validators = Validators(headers.get("etag", ""), headers.get("last-modified", ""))
            return Page(str(url), _body(response, most), headers, validators)
        finally:
            response.close()


def _moved(url: httpx.URL, location: str) -> httpx.URL:
    try:
        return parse_url(str(url.join(location)))
    except (ValueError, httpx.InvalidURL) as error:
        raise FetchFailed("it has moved to what is no URL", gone=True) from error


def _seconds(header: str) -> float:
    """Of Retry-After; a few where it has none."""
    return float(header) if header.isascii() and header.isdigit() and len(header) < 8 else 5.0


def _body(response: httpx.Response, most: int) -> bytes:
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > most:
            raise FetchFailed(f"it is larger than {most} bytes")
    return bytes(body)
