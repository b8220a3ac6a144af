"""Reads EPUB: the chapters in the order of the spine, each as the page that it is."""

from xml.etree.ElementTree import Element

from services.retrieval.errors import ContentTooLarge, DocumentUnreadable
from services.retrieval.ingest.blocks import Block, Extract
from services.retrieval.ingest.faults import reading
from services.retrieval.ingest.html import read_html
from services.retrieval.ingest.office import local
from services.retrieval.ingest.omissions import omissions
from services.retrieval.ingest.package import Package, beside

MOST_CHAPTERS = 5000
_CONTAINER = "META-INF/container.xml"
_PAGES = ("application/xhtml+xml", "text/html")


def read_epub(data: bytes) -> Extract:
    """Raises DocumentUnreadable, ContentTooLarge."""
    package = Package(data)
    with reading("the book"):
        name = next(
            (each.get("full-path", "") for each in package.xml(_CONTAINER).iter() if local(each) == "rootfile"), ""
        )
        book = package.xml(name)
        chapters = _chapters(book, name)
        if len(chapters) > MOST_CHAPTERS:
            raise ContentTooLarge(f"it has more than {MOST_CHAPTERS} chapters")
        blocks: list[Block] = []
        unread = 0
        for chapter in chapters:
            try:
                blocks += read_html(package.read(chapter)).blocks
            except DocumentUnreadable:
                unread += 1
    title = _said(book, "title")
    labels = {"author": author} if (author := _said(book, "creator")) else {}
    warnings = omissions((unread, f"broken: {{}} of {len(chapters):,} chapters"))
    return Extract(title, blocks, labels, warnings=warnings)


def _chapters(book: Element, name: str) -> list[str]:
    """The entries of the spine; the navigation is none."""
    items = {each.get("id", ""): each for each in book.iter() if local(each) == "item"}
    spine = (items.get(each.get("idref", "")) for each in book.iter() if local(each) == "itemref")
    return [
        beside(name, item.get("href", ""))
        for item in spine
        if item is not None and item.get("media-type") in _PAGES and "nav" not in item.get("properties", "").split()
    ]


def _said(book: Element, what: str) -> str:
    return next((" ".join((each.text or "").split()) for each in book.iter() if local(each) == what), "")
