"""Where a page leads: the links of HTML, the entries of a sitemap."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

import httpx
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from selectolax.lexbor import LexborHTMLParser

from cli.documents.sources.fetch import parse_url

GZIP = b"\x1f\x8b"
MOST_LINKS = 10_000
MOST_SITEMAP = 64 << 20
"""Bytes of a sitemap once it is unpacked; by the protocol it has 50 MB."""


class BadSitemap(ValueError):
    """What is there is no sitemap; in words."""


@dataclass(frozen=True, slots=True)
class Leads:
    """What a page of HTML leads to, and whether it wants to be found itself."""

    urls: tuple[httpx.URL, ...] = ()
    index: bool = True


def html_leads(html: str, base: httpx.URL, robots_header: str) -> Leads:
    """The links that may be followed, each once, in order. `robots_header`: the answer's X-Robots-Tag."""
    tree = LexborHTMLParser(html)
    rules = robots_header.lower()
    for meta in tree.css("meta[name=robots i], meta[name=headworks i]"):
        rules += f",{meta.attributes.get('content') or ''}".lower()
    words = {word.strip() for word in rules.replace(";", ",").split(",")}
    index = not words & {"noindex", "none"}
    if words & {"nofollow", "none"}:
        return Leads((), index)
    node = tree.css_first("base[href]")
    start = _joined(base, node.attributes.get("href") or "") if node is not None else None
    found = dict.fromkeys(_links(tree, start or base))
    return Leads(tuple(found)[:MOST_LINKS], index)


def _links(tree: LexborHTMLParser, base: httpx.URL) -> Iterator[httpx.URL]:
    for node in tree.css("a[href], area[href]"):
        if "nofollow" not in (node.attributes.get("rel") or "").lower().split():
            url = _joined(base, node.attributes.get("href") or "")
            if url is not None:
                yield url


def _joined(base: httpx.URL, href: str) -> httpx.URL | None:
    """None for what is no URL of http."""
    try:
        return parse_url(str(base.join(href.strip())))
    except (ValueError, httpx.InvalidURL, UnicodeError):
        return None


def looks_like_sitemap(data: bytes) -> bool:
    start = data[:2048].lstrip()
    return data.startswith(GZIP) or b"<urlset" in start or b"<sitemapindex" in start


def read_sitemap(data: bytes, base: httpx.URL) -> tuple[list[httpx.URL], list[httpx.URL]]:
    """The pages that a sitemap names, and the other sitemaps. Raises BadSitemap."""
    if data.startswith(GZIP):
        data = _unpacked(data)
    try:
        root = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise BadSitemap("it is no XML of a sitemap") from error
    kind = _name(root)
    if kind not in ("urlset", "sitemapindex"):
        raise BadSitemap(f"it is no sitemap: its root is {kind[:50]}")
    urls = list(dict.fromkeys(_locations(root, base)))
    return (urls, []) if kind == "urlset" else ([], urls)


def _locations(root: Element, base: httpx.URL) -> Iterator[httpx.URL]:
    for entry in root:
        for each in entry:
            if _name(each) == "loc" and (url := _joined(base, each.text or "")) is not None:
                yield url


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(data, MOST_SITEMAP)
    except zlib.error as error:
        raise BadSitemap("its compression is broken") from error
    if unpacker.unconsumed_tail:
        raise BadSitemap(f"it is larger than {MOST_SITEMAP >> 20} MiB")
    return plain
