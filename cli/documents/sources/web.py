"""Pages of a site: those that links lead to from one page on, or those that a sitemap names."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from cli.documents.sources.content import BadText, as_utf8, media_type_of
from cli.documents.sources.fetch import Fetcher, FetchFailed, Manners, Page, Validators, parse_url
from cli.documents.sources.links import BadSitemap, html_leads, looks_like_sitemap, read_sitemap
from cli.documents.sources.seen import SeenPage, SeenPages
from cli.documents.sources.source import BadSource, FoundDocument, SourceScan, filed, held
from services.runtime.media_types import HTML

MOST_SITEMAPS = 1000


@dataclass(frozen=True, slots=True)
class WebLimits:
    """Pages, bytes of all together, and how many links away from the first page; 0 is that page alone. `below`: links
    are followed below the first page's folder only."""

    pages: int = 500
    total_bytes: int = 200 << 20
    depth: int = 0
    below: bool = False


@dataclass(frozen=True, slots=True)
class WebSource:
    """A site, from `url` on: a page or a sitemap, which it must be if `sitemap` says so. `labels` go on each page.
    `fetcher` makes what asks the host, and `seen` is what was seen of it before."""

    url: str
    limits: WebLimits = field(default_factory=WebLimits)
    manners: Manners = field(default_factory=Manners)
    labels: Mapping[str, str] = field(default_factory=dict)
    sitemap: bool = False
    fetcher: Callable[[httpx.URL, Manners], Fetcher] = Fetcher
    seen: Callable[[str], SeenPages] = SeenPages.of

    def scan(self, known: Mapping[str, str], workspace: Path) -> SourceScan:
        """See Source."""
        try:
            start = parse_url(self.url)
            fetcher = self.fetcher(start, self.manners)
        except (ValueError, FetchFailed) as error:
            raise BadSource(str(error)) from error
        try:
            crawl = _Crawl(self, start, fetcher, known, workspace)
            scan = crawl.run()
        finally:
            fetcher.close()
        with suppress(OSError):  # the next time costs more, and that is all
            crawl.seen.store(crawl.now)
        return scan


class _Crawl:
    """One walk over a site, breadth first."""

    def __init__(
        self, source: WebSource, start: httpx.URL, fetcher: Fetcher, known: Mapping[str, str], workspace: Path
    ) -> None:
        self._source = source
        self._start = start
        self._fetcher = fetcher
        self._known = known
        self._workspace = workspace
        self.seen = source.seen(str(start))
        self.now: dict[str, SeenPage] = {}
        self._queue: deque[tuple[httpx.URL, int]] = deque()
        self._met: set[str] = set()
        self._taken: set[str] = set()
        self._scan = SourceScan()
        self._pages = self._bytes = self._sitemaps = 0

    def run(self) -> SourceScan:
        """Raises BadSource where the first page is not to be had."""
        try:
            self._visit(self._start, 0, first=True)
        except FetchFailed as error:
            raise BadSource(f"{self._start}: {error}") from error
        while self._queue:
            url, depth = self._queue.popleft()
            if self._full():
                break
            try:
                self._visit(url, depth)
            except FetchFailed as error:
                self._missed(str(url), error)
        return self._scan

    def _full(self) -> bool:
        """Whether a limit is reached; then the rest of the site was not seen."""
        limits = self._source.limits
        for reached, limit in (
            (self._pages >= limits.pages, f"the limit of {limits.pages} pages"),
            (self._bytes >= limits.total_bytes, f"the limit of {limits.total_bytes} bytes"),
        ):
            if reached:
                # By the host, since the first page's own address is that of a document.
                self._scan.fail(self._start.host, f"{limit} was reached, with {len(self._queue) + 1} pages to go")
                return True
        return False

    def _missed(self, url: str, error: FetchFailed) -> None:
        """A page that is not there, or is refused and never was had, is none; any other may be there."""
        if error.gone or (error.refused and url not in self._known):
            self._scan.skip(str(error), url)
        else:
            self._scan.fail(url, str(error))

    def _visit(self, url: httpx.URL, depth: int, *, first: bool = False) -> None:
        self._met.add(_identity(url))
        before = self.seen.pages.get(str(url))
        if before and not (
            self._known.get(str(url)) == before.content_hash and _looked_so_far(before, self._left(depth))
        ):
            before = None
        page = self._fetcher.get(url, Validators(before.etag, before.modified) if before else None)
        self._pages += 1
        self._bytes += len(page.data or b"")
        final = httpx.URL(page.url)
        if _identity(final) in self._taken:
            return
        self._met.add(_identity(final))
        self._taken.add(_identity(final))
        if page.data is None and before:
            self._unchanged(page.url, before, depth)
        elif first and (self._source.sitemap or looks_like_sitemap(page.data or b"")):
            self._pages -= 1
            self._sitemap(final, page.data or b"")
        else:
            self._page(final, page, depth)

    def _left(self, depth: int) -> int:
        """How many links further it goes."""
        return self._source.limits.depth - depth

    def _sitemap(self, url: httpx.URL, data: bytes) -> None:
        """Queue what it names, of the sitemaps that it names too. Raises FetchFailed for the first one."""
        waiting, first = deque([(url, data)]), True
        while waiting:
            at, data = waiting.popleft()
            try:
                pages, others = read_sitemap(data, at)
            except BadSitemap as error:
                if first:
                    raise FetchFailed(str(error)) from error
                self._scan.fail(str(at), str(error))
                continue
            first = False
            self._enqueue(pages, self._source.limits.depth)
            for other in others:
                self._fetch_sitemap(other, waiting)

    def _fetch_sitemap(self, url: httpx.URL, waiting: deque[tuple[httpx.URL, bytes]]) -> None:
        if _identity(url) in self._met or not self._on_host(url):
            return
        self._met.add(_identity(url))
        self._sitemaps += 1
        if self._sitemaps > MOST_SITEMAPS:
            self._scan.fail(str(url), f"there are more than {MOST_SITEMAPS} sitemaps")
            return
        try:
            waiting.append((url, self._fetcher.get(url).data or b""))
        except FetchFailed as error:
            self._scan.fail(str(url), str(error))

    def _unchanged(self, url: str, before: SeenPage, depth: int) -> None:
        """Take a page as it was."""
        self.now[url] = before
        if before.index:
            document = FoundDocument(
                url, url, before.media_type, held(b""), labels=self._source.labels, content_hash=before.content_hash
            )
            self._scan.documents.append(document)
        if self._left(depth) > 0:
            self._enqueue(map(httpx.URL, before.links), depth + 1)

    def _page(self, url: httpx.URL, page: Page, depth: int) -> None:
        header = page.headers.get("content-type", "")
        media_type = media_type_of(header, url.path)
        if not media_type:
            self._scan.skip("of another type", str(url))
            return
        try:
            data = as_utf8(header, page.data or b"")
        except BadText as error:
            self._scan.fail(str(url), str(error))
            return
        links: tuple[httpx.URL, ...] = ()
        index = True
        if media_type == HTML:
            leads = html_leads(data.decode("utf-8", "replace"), url, page.headers.get("x-robots-tag", ""))
            index, links = leads.index, leads.urls if self._left(depth) > 0 else ()
        digest = hashlib.sha256(data).hexdigest()
        if index:
            self._take(str(url), media_type, data, digest)
        else:
            self._scan.skip("noindex", str(url))
        self._enqueue(links, depth + 1)
        validators = page.validators
        if validators.headers:
            self.now[str(url)] = SeenPage(
                validators.etag,
                validators.modified,
                digest,
                media_type,
                tuple(map(str, links)),
                self._left(depth),
                index,
            )

    def _take(self, url: str, media_type: str, data: bytes, digest: str) -> None:
        path = self._workspace / f"{len(self._scan.documents)}"
        path.write_bytes(data)
        document = FoundDocument(url, url, media_type, filed(path), labels=self._source.labels, content_hash=digest)
        self._scan.documents.append(document)

    def _enqueue(self, urls: Iterable[httpx.URL], depth: int) -> None:
        for url in urls:
            identity = _identity(url)
            if identity not in self._met:
                self._met.add(identity)
                if self._on_host(url) and self._below(url):
                    self._queue.append((url, depth))

    def _on_host(self, url: httpx.URL) -> bool:
        same = self._fetcher.same_host(url)
        if not same:
            self._scan.skip("on another host", str(url))
        return same

    def _below(self, url: httpx.URL) -> bool:
        folder = self._start.path.rpartition("/")[0] + "/"
        return not self._source.limits.below or url.path.startswith(folder)


def _identity(url: httpx.URL) -> str:
    """What a page is met by, whether by http or https."""
    return str(url.copy_with(scheme="https", port=None) if url.port is None else url)


def _looked_so_far(page: SeenPage, left: int) -> bool:
    """Whether the links of the page are known, as far as they are wanted."""
    return page.media_type != HTML or left <= 0 or page.depth > 0
