"""Pages of a site, as they are fetched: politely, within limits, and no further than the host."""

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cli.documents.sources.fetch import Fetcher, FetchFailed, Manners, parse_url
from cli.documents.sources.seen import SeenPages
from cli.documents.sources.source import BadSource, SourceScan
from cli.documents.sources.web import WebLimits, WebSource
from tests.fakes.site import Answer, Site, serving_site


@pytest.fixture
def site() -> Iterator[Site]:
    with serving_site() as served:
        yield served


class Reading:
    """Scans of a site, each with a workspace of its own, and what they had to wait."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.folder = folder
        self.waited: list[float] = []
        self.scans = 0

    def __call__(
        self, path: str = "/", known: SourceScan | None = None, delay: float = 0.0, **limits: Any
    ) -> SourceScan:
        source = WebSource(
            f"{self.site.url}{path}", WebLimits(**limits), Manners(delay, 1 << 20, allow_private=True),
            fetcher=lambda url, manners: Fetcher(url, manners, sleep=self.waited.append),
            seen=lambda name: SeenPages.of(name, self.folder / "seen"),
        )  # fmt: skip
        self.scans += 1
        workspace = self.folder / str(self.scans)
        workspace.mkdir()
        hashes = {document.id: document.content_hash for document in known.documents} if known else {}
        return source.scan(hashes, workspace)


@pytest.fixture
def read(site: Site, tmp_path: Path) -> Reading:
    return Reading(site, tmp_path)


def paths(scan: SourceScan, site: Site) -> list[str]:
    return [document.id.removeprefix(site.url) for document in scan.documents]


def content(scan: SourceScan, number: int = 0) -> bytes:
    with scan.documents[number].open() as source:
        return source.read()


def links(*targets: str) -> str:
    return "<title>T</title>" + "".join(f'<p><a href="{target}">x</a></p>' for target in targets)


class TestLinks:
    def test_are_followed_so_far_and_on_the_host_alone(self, site: Site, read: Reading) -> None:
        site.page("/a/", links("one", "/b#part", "https://other.example/x", "mailto:a@b.c", "/a/#top", "one"))
        site.page("/a/one", links("two"))
        site.page("/b", links("/a/"))
        site.page("/a/two", "two")
        assert paths(read("/a/"), site) == ["/a/"]
        scan = read("/a/", depth=1)
        assert (paths(scan, site), scan.skipped, scan.complete) == (
            ["/a/", "/a/one", "/b"], {"on another host": 1}, True,
        )  # fmt: skip
        assert paths(read("/a/", depth=2), site) == ["/a/", "/a/one", "/b", "/a/two"]
        assert paths(read("/a/", depth=5, below=True), site) == ["/a/", "/a/one", "/a/two"]

    def test_robots_are_obeyed(self, site: Site, read: Reading) -> None:
        site.answers["/robots.txt"] = Answer(b"User-agent: *\nDisallow: /secret\nCrawl-delay: 7\n", "text/plain")
        site.page("/", links("/secret", "/hidden", "/far", "/free"))
        site.page("/secret", "no")
        site.page("/hidden", '<meta name="ROBOTS" content="noindex, nofollow"><a href="/further">x</a>')
        site.answers["/far"] = Answer(b"x", headers={"X-Robots-Tag": "noindex"})
        site.page("/free", '<p rel="x"><a rel="nofollow" href="/further">x</a></p>')
        scan = read(depth=3)
        assert paths(scan, site) == ["/", "/free"]
        assert scan.skipped == {"robots.txt does not allow it": 1, "noindex": 2}
        assert site.took("/secret") == site.took("/further") == 0
        assert sum(read.waited) > 6 * len(site.asked[1:]) - 7
        with pytest.raises(BadSource, match=r"robots\.txt does not allow it"):
            read("/secret")

    def test_robots_that_cannot_be_had_allow_nothing(self, site: Site, read: Reading) -> None:
        site.page("/", "x")
        site.answers["/robots.txt"] = Answer(status=500)
        with pytest.raises(BadSource, match=r"robots\.txt cannot be had: HTTP 500"):
            read()

    def test_limits_say_that_not_all_was_seen(self, site: Site, read: Reading) -> None:
        site.page("/", links(*(f"/{number}" for number in range(9))))
        for number in range(9):
            site.page(f"/{number}", "x" * 1000)
        scan = read(depth=1, pages=4)
        assert (len(scan.documents), scan.complete) == (4, False)
        assert scan.failures == [("127.0.0.1", "the limit of 4 pages was reached, with 6 pages to go")]
        scan = read(depth=1, total_bytes=2500)
        assert (len(scan.documents), scan.complete) == (4, False)

    def test_a_page_that_is_too_large_fails_alone(self, site: Site, read: Reading) -> None:
        site.page("/", links("/large", "/small"))
        site.page("/large", "x" * (1 << 21))
        site.page("/small", "x")
        scan = read(depth=1)
        assert (paths(scan, site), [why for _, why in scan.failures]) == (
            ["/", "/small"], [f"it is larger than {1 << 20} bytes"],
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("status", "complete"), [(404, True), (410, True), (403, True), (500, False), (502, False)]
    )
    def test_a_broken_link(self, site: Site, read: Reading, status: int, complete: bool) -> None:
        site.page("/", links("/gone"))
        site.answers["/gone"] = Answer(status=status)
        scan = read(depth=1)
        assert (paths(scan, site), scan.complete) == (["/"], complete)

    def test_what_was_had_and_is_refused_now_is_not_gone(self, site: Site, read: Reading) -> None:
        site.page("/", links("/page"))
        site.page("/page", "x")
        first = read(depth=1)
        site.answers["/page"] = Answer(status=403)
        scan = read(depth=1, known=first)
        assert (scan.complete, scan.failures) == (False, [(f"{site.url}/page", "HTTP 403")])


class TestRedirects:
    def test_stay_on_the_host(self, site: Site, read: Reading) -> None:
        site.page("/", links("/old", "/new", "/away", "/loop"))
        site.answers["/old"] = Answer(status=301, headers={"Location": "/new"})
        site.page("/new", "new")
        site.answers["/away"] = Answer(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data"})
        site.answers["/loop"] = Answer(status=302, headers={"Location": "/loop"})
        scan = read(depth=1)
        assert paths(scan, site) == ["/", "/new"]
        assert scan.skipped == {"it has moved to another host: 169.254.169.254": 1}
        assert [why for _, why in scan.failures] == ["more than 5 redirects"]


class TestAddresses:
    @pytest.mark.parametrize(
        "addresses", [["127.0.0.1"], ["10.0.0.1"], ["93.184.216.34", "::1"], ["fd00::1"], ["0.0.0.0"]]
    )
    def test_private_ones_are_refused_unless_allowed(self, addresses: Sequence[str]) -> None:
        url = parse_url("http://intranet.example/")
        with pytest.raises(FetchFailed, match="inside a private network"):
            Fetcher(url, Manners(), resolver=lambda *_: addresses)
        Fetcher(url, Manners(allow_private=True), resolver=lambda *_: addresses).close()

    def test_the_name_is_looked_up_once(self, site: Site, tmp_path: Path) -> None:
        """So that it cannot lead elsewhere later."""
        site.page("/", "x")
        answers = iter([["127.0.0.1"]])
        url = parse_url(f"http://name.example:{site.port}/")
        fetcher = Fetcher(url, Manners(0, allow_private=True), resolver=lambda *_: next(answers))
        assert fetcher.get(url).data == b"x"
        assert fetcher.get(url).data == b"x"
        assert site.headers[-1]["host"] == f"name.example:{site.port}"
        fetcher.close()

    @pytest.mark.parametrize(
        "text", ["ftp://a/", "file:///etc/passwd", "http://", "http://u:p@a/", "//a", "http://a:x/"]
    )
    def test_what_is_no_address(self, text: str) -> None:
        with pytest.raises(ValueError, match="URL"):
            parse_url(text)


class TestContent:
    def test_the_server_says_what_it_is(self, site: Site, read: Reading) -> None:
        site.page("/", links("/a.md", "/b", "/c.pdf", "/d.md", "/e.bin"))
        site.answers["/a.md"] = Answer(b"# A", "text/plain")
        site.answers["/b"] = Answer(b"# B", "text/x-markdown; charset=utf-8")
        site.answers["/c.pdf"] = Answer(b"%PDF", "application/pdf")
        site.answers["/d.md"] = Answer(b"# D", "application/octet-stream")
        site.answers["/e.bin"] = Answer(b"x", "image/png")
        scan = read(depth=1)
        assert [document.media_type for document in scan.documents] == [
            "text/html", "text/plain", "text/markdown", "application/pdf", "text/markdown",
        ]  # fmt: skip
        assert scan.skipped == {"of another type": 1}

    @pytest.mark.parametrize(
        ("charset", "sent"),
        [
            ("iso-8859-1", "schön — “so”".encode("cp1252")), ("koi8-r", "Привет".encode("koi8-r")),
            ("Shift_JIS", "日本".encode("shift_jis")), ("gb2312", "镕基".encode("gb18030")),
            ('"UTF-16LE"', "größe".encode("utf-16-le")),
        ],
    )  # fmt: skip
    def test_its_charset_goes_before_what_it_says_of_itself(
        self, site: Site, read: Reading, charset: str, sent: bytes
    ) -> None:
        site.answers["/"] = Answer(sent, f"text/html; charset={charset}")
        encoding = {"iso-8859-1": "cp1252", "gb2312": "gb18030"}.get(charset, charset.strip('"'))
        assert content(read()) == b"\xef\xbb\xbf" + sent.decode(encoding).encode()

    @pytest.mark.parametrize(("charset", "sent"), [("ascii-nonsense", b"x"), ("euc-jp", b"\xff\xff")])
    def test_a_charset_that_is_wrong_fails_the_page(self, site: Site, read: Reading, charset: str, sent: bytes) -> None:
        site.answers["/"] = Answer(sent, f"text/html; charset={charset}")
        scan = read()
        assert (scan.documents, len(scan.failures), scan.complete) == ([], 1, False)


class TestAgain:
    def test_what_has_not_changed_is_not_fetched(self, site: Site, read: Reading) -> None:
        site.page("/", links("/a", "/b"), etag='"1"')
        site.page("/a", links("/c"), etag='"2"')
        site.page("/b", "b", last_modified="Sun, 01 Nov 2026 00:00:00 GMT")
        site.page("/c", "c", etag='"3"')
        first = read(depth=2)
        site.page("/c", "c is new", etag='"4"')
        again = read(depth=2, known=first)
        assert paths(again, site) == ["/", "/a", "/b", "/c"]
        before, after = ([document.content_hash for document in scan.documents] for scan in (first, again))
        assert [old == new for old, new in zip(before, after, strict=True)] == [True, True, True, False]
        with_etag = [given.get("if-none-match") for given in site.headers if "if-none-match" in given]
        assert with_etag == ['"1"', '"2"', '"3"']
        assert any("if-modified-since" in given for given in site.headers)
        assert content(again, 3) == b"c is new"

    def test_what_the_collection_has_not_is(self, site: Site, read: Reading) -> None:
        site.page("/", "x", etag='"1"')
        read()
        assert content(read()) == b"x"

    def test_a_deeper_look_needs_the_links(self, site: Site, read: Reading) -> None:
        site.page("/", links("/a"), etag='"1"')
        site.page("/a", "a")
        assert paths(read(depth=1, known=read()), site) == ["/", "/a"]


class TestSitemaps:
    INDEX = '<?xml version="1.0"?><sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{}</sitemapindex>'
    URLS = '<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{}</urlset>'

    def test_what_they_name_is_read(self, site: Site, read: Reading) -> None:
        def located(*names: str) -> str:
            return "".join(f"<url><loc> {name} </loc><lastmod>2026-01-01</lastmod></url>" for name in names)

        site.answers["/sitemap.xml"] = Answer(
            self.INDEX.format(located(f"{site.url}/one.xml", f"{site.url}/two.xml.gz", "https://other.example/x.xml")).encode(),
            "application/xml",
        )  # fmt: skip
        one = self.URLS.format(located(f"{site.url}/a", f"{site.url}/b", "https://other.example/c", "nonsense:"))
        site.answers["/one.xml"] = Answer(one.encode(), "application/xml")
        site.answers["/two.xml.gz"] = Answer(
            gzip.compress(self.URLS.format(located("/d")).encode()), "application/gzip"
        )
        for name in "abd":
            site.page(f"/{name}", links("/never"))
        scan = read("/sitemap.xml")
        assert (paths(scan, site), scan.complete) == (["/a", "/b", "/d"], True)

    @pytest.mark.parametrize(
        "body",
        [
            b"<html></html>", b"<urlset>", b"\x1f\x8bbroken", b'<!DOCTYPE u [<!ENTITY a "x">]><urlset>&a;</urlset>',
            gzip.compress(b"<urlset>" + b" " * (65 << 20)),
        ],
        ids=("html", "unclosed", "gzip", "entities", "bomb"),
    )  # fmt: skip
    def test_what_is_none(self, site: Site, tmp_path: Path, body: bytes) -> None:
        site.answers["/sitemap.xml"] = Answer(body, "application/xml")
        source = WebSource(
            f"{site.url}/sitemap.xml", manners=Manners(0, allow_private=True), sitemap=True,
            seen=lambda name: SeenPages.of(name, tmp_path),
        )  # fmt: skip
        with pytest.raises(BadSource, match=r"sitemap|XML|compression|larger"):
            source.scan({}, tmp_path)


class TestBusyHosts:
    def test_are_asked_again_when_they_say(self, site: Site, read: Reading) -> None:
        site.answers["/"] = [Answer(status=429, headers={"Retry-After": "3"}), Answer(b"x")]
        assert len(read().documents) == 1
        assert 3.0 in read.waited

    def test_once(self, site: Site, read: Reading) -> None:
        site.answers["/"] = Answer(status=503)
        with pytest.raises(BadSource, match="busy"):
            read()
        assert site.took("/") == 2
