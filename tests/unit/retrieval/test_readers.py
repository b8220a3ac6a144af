"""Readers and media types."""

import pytest

from services.retrieval.errors import DocumentEmpty, DocumentError, DocumentUnreadable, MediaTypeUnsupported
from services.retrieval.ingest import media
from services.retrieval.ingest.digest import digest
from services.retrieval.ingest.html import read_html
from services.retrieval.ingest.text import decode, read_markdown


@pytest.mark.parametrize(
    ("given", "document_id", "expected"),
    [
        ("", "a.txt", media.PLAIN),
        ("", "a.MD", media.MARKDOWN),
        ("", "x/y.markdown", media.MARKDOWN),
        ("", "a.htm", media.HTML),
        ("", "https://example.org/a.pdf", media.PDF),
        ("", "README", media.PLAIN),
        ("text/html; charset=utf-8", "a.txt", media.HTML),
        ("Text/X-Markdown", "a", media.MARKDOWN),
    ],
)
def test_media_types(given: str, document_id: str, expected: str) -> None:
    assert media.media_type_of(given, document_id) == expected


@pytest.mark.parametrize(("given", "document_id"), [("", "a.docx"), ("image/png", "a.txt"), ("x", "a.txt")])
def test_unknown_media_types(given: str, document_id: str) -> None:
    with pytest.raises(MediaTypeUnsupported):
        media.media_type_of(given, document_id)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("naïve".encode(), "naïve"),
        (b"\xef\xbb\xbfmarked", "marked"),
        ("水".encode("utf-16"), "水"),
        (b"\xfe\xff" + "水".encode("utf-16-be"), "水"),
        (b"a\r\nb\rc", "a\nb\nc"),
        (b"tab\tand\x1b[0m colour " * 50, "tab\tand\x1b[0m colour " * 50),
    ],
)
def test_text_is_decoded(data: bytes, text: str) -> None:
    assert decode(data) == text


@pytest.mark.parametrize("data", [b"caf\xe9", b"\x00", b"\xff\xfea", bytes(range(1, 32)) * 10, b"\x89PNG\r\n"])
def test_what_is_no_text_is_not(data: bytes) -> None:
    with pytest.raises(DocumentUnreadable):
        decode(data)


def test_markdown_titles() -> None:
    assert read_markdown(b"text\n\n## Second ##\n\n# First").title == "Second"
    assert read_markdown(b"no heading").title == ""
    assert read_markdown(b"- item\n---\ntext").headings == []


class TestHtml:
    def test_is_read_block_by_block(self) -> None:
        html = """<html><head><title> A &amp; B </title><style>x</style></head><body><!-- no -->
            <h1>One <i>two</i></h1><p>Some  <b>bo</b>ld<br>text</p><ul><li>a</li><li>b</li></ul>
            <pre>x\n  y</pre><script>no()</script>tail</body></html>"""
        extract = read_html(html.encode())
        assert extract.title == "A & B"
        assert extract.text == "One two\n\nSome bold\ntext\n\na\n\nb\n\nx\n  y\n\ntail"

    def test_headings_are_where_they_say(self) -> None:
        extract = read_html(b"<p>intro</p><h1>First</h1><p>x</p><div><h3><a href=#>Third</a></h3></div><h2></h2>")
        assert [(heading.level, heading.title) for heading in extract.headings] == [(1, "First"), (3, "Third")]
        for heading in extract.headings:
            assert extract.text[heading.start :].startswith(heading.title)
        assert extract.title == "First"

    @pytest.mark.parametrize(
        ("data", "text"),
        [
            (b"", ""),
            (b"<", "<"),
            (b"<p", ""),
            (b"text", "text"),
            (b"<b></p></b><td>x", "x"),
            (b"<html><frameset></html>", ""),
        ],
    )
    def test_any_markup_is_read(self, data: bytes, text: str) -> None:
        assert read_html(data).text == text


def test_digest_splits_what_it_reads() -> None:
    found = digest(media.MARKDOWN, b"# T\n\nfirst\n\n## S\n\nsecond", 1200)
    assert found.title == "T"
    assert [found.text[slice(*piece.span)] for piece in found.pieces] == ["# T\n\nfirst", "## S\n\nsecond"]


@pytest.mark.parametrize(
    ("media_type", "data", "error"),
    [
        (media.PLAIN, b"", DocumentEmpty),
        (media.HTML, b"<p> </p>", DocumentEmpty),
        (media.PDF, b"", DocumentUnreadable),
        (media.PDF, b"%PDF-1.7\n" + bytes(500), DocumentUnreadable),
    ],
)
def test_digest_refuses(media_type: str, data: bytes, error: type[DocumentError]) -> None:
    with pytest.raises(error):
        digest(media_type, data, 1200)
