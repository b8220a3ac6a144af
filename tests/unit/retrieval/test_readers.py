"""Readers and media types."""

import pytest

from services.retrieval.errors import (
    DocumentEmpty,
    DocumentError,
    DocumentUnreadable,
    EncodingUnknown,
    MediaTypeUnsupported,
)
from services.retrieval.ingest import media
from services.retrieval.ingest.digest import digest
from services.retrieval.ingest.text import decode
from services.runtime import media_types


@pytest.mark.parametrize(
    ("given", "document_id", "expected"),
    [
        ("", "a.txt", media_types.PLAIN),
        ("", "a.MD", media_types.MARKDOWN),
        ("", "x/y.markdown", media_types.MARKDOWN),
        ("", "a.htm", media_types.HTML),
        ("", "https://example.org/a.pdf", media_types.PDF),
        ("", "README", media_types.PLAIN),
        ("text/html; charset=utf-8", "a.txt", media_types.HTML),
        ("Text/X-Markdown", "a", media_types.MARKDOWN),
    ],
)
def test_media_types(given: str, document_id: str, expected: str) -> None:
    assert media.media_type_of(given, document_id) == expected


@pytest.mark.parametrize(("given", "document_id"), [("", "a.zip"), ("image/png", "a.txt"), ("x", "a.txt")])
def test_unknown_media_types(given: str, document_id: str) -> None:
    with pytest.raises(MediaTypeUnsupported):
        media.media_type_of(given, document_id)


@pytest.mark.parametrize("name", ["a.py", "a.log", "a.yaml", "a.xml", "a.tex"])
def test_what_is_to_be_done_with_a_text_of_another_ending(name: str) -> None:
    with pytest.raises(MediaTypeUnsupported, match=r"if it is text, rename it to end in \.txt, or over gRPC"):
        media.media_type_of("", name)


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
    assert decode(data).text == text


@pytest.mark.parametrize("data", [b"caf\xe9", b"\x00", b"\xff\xfea", bytes(range(1, 32)) * 10, b"\x89PNG\r\n"])
def test_what_is_no_text_is_not(data: bytes) -> None:
    with pytest.raises((DocumentUnreadable, EncodingUnknown)):
        decode(data)


def test_digest_splits_what_it_reads() -> None:
    found = digest(media_types.MARKDOWN, b"# T\n\nfirst\n\n## S\n\nsecond", 1200)
    assert found.title == "T"
    assert [found.text[slice(*piece.span)] for piece in found.pieces] == ["# T\n\nfirst", "## S\n\nsecond"]


@pytest.mark.parametrize(
    ("media_type", "data", "error"),
    [
        (media_types.PLAIN, b"", DocumentEmpty),
        (media_types.HTML, b"<p> </p>", DocumentEmpty),
        (media_types.PDF, b"", DocumentUnreadable),
        (media_types.PDF, b"%PDF-1.7\n" + bytes(500), DocumentUnreadable),
    ],
)
def test_digest_refuses(media_type: str, data: bytes, error: type[DocumentError]) -> None:
    with pytest.raises(error):
        digest(media_type, data, 1200)
