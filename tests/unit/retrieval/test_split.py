"""Passages: what they cover, how long they are, where they are cut, what of them can be quoted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retrieval.ingest.blocks import Block, Kind, lay_out
from services.retrieval.ingest.markdown import read_markdown
from services.retrieval.ingest.plain import read_plain
from services.retrieval.ingest.quotable import LONGEST
from services.retrieval.ingest.split import MAX_SENTENCES, TextPiece, split

PARTS = st.sampled_from(
    [
        *("word", " ", "\n", "\n\n", ". ", "。", "水坝", "é", "<b>", "\u3000", "x" * 45, "....... 7\n"),
        *("# Title\n", "## Sub\n\n", "```\n", "- item\n", "1. one\n", "| a | b |\n", "|---|---|\n"),
        *("a: b\n", "  -x  does y\n", "    f(x)\n"),
    ]
)
TEXTS = st.one_of(st.lists(PARTS, max_size=120).map("".join), st.text(max_size=400))
READERS = st.sampled_from([read_markdown, read_plain])


def blocks_of(text: str, reader: object) -> list[Block]:
    """What a reader makes of a text; of one that it refuses, the text."""
    data = text.encode("utf-8", "replace")
    if b"\0" in data:
        return [Block(Kind.TEXT, text.strip())] if text.strip() else []
    try:
        return list(reader(data).blocks)  # type: ignore[operator]
    except Exception:  # noqa: BLE001 (control characters)
        return []


@given(TEXTS, READERS, st.integers(200, 500))
def test_passages_are_in_order_and_none_is_too_long(text: str, reader: object, limit: int) -> None:
    laid_out, pieces = split(blocks_of(text, reader), limit)
    end = 0
    for piece in pieces:
        start, stop = piece.span
        assert start >= end
        assert 0 < stop - start <= limit
        assert laid_out[start:stop] == laid_out[start:stop].strip()
        end = stop


@given(TEXTS, READERS, st.integers(200, 500))
def test_sentences_are_ranges_of_their_passage_in_order(text: str, reader: object, limit: int) -> None:
    for piece in split(blocks_of(text, reader), limit)[1]:
        length = piece.span[1] - piece.span[0]
        end = 0
        assert len(piece.sentences) <= MAX_SENTENCES
        assert len(piece.leads) in (0, len(piece.sentences))
        for start, stop in piece.sentences:
            assert end <= start < stop <= length
            end = stop


@given(st.lists(st.text("ab. \n水。", min_size=1, max_size=90), max_size=40), st.integers(200, 400))
def test_every_character_of_a_paragraph_is_in_a_passage(texts: list[str], limit: int) -> None:
    blocks = [Block(Kind.TEXT, text.strip()) for text in texts if text.strip()]
    text, spans = lay_out(blocks)
    _, pieces = split(blocks, limit)
    covered = "".join(text[slice(*piece.span)] for piece in pieces)
    whole = "".join(text[slice(*span)] for span in spans)
    assert "".join(covered.split()) == "".join(whole.split())


def texts(markdown: str, limit: int = 1200) -> list[tuple[tuple[str, ...], str]]:
    text, pieces = split(read_markdown(markdown.encode()).blocks, limit)
    return [(piece.headings, text[slice(*piece.span)]) for piece in pieces]


def quoted(text: str, pieces: list[TextPiece]) -> list[str]:
    """What of the passages can be quoted, after its lead."""
    found = []
    for piece in pieces:
        for number, (start, stop) in enumerate(piece.sentences):
            lead = piece.leads[number] if piece.leads else ""
            found.append(f"{lead}: " * bool(lead) + text[piece.span[0] + start : piece.span[0] + stop])
    return found


def test_headings_make_the_path() -> None:
    assert texts("intro\n\n# A\n\none\n\n## B\n\ntwo\n\n### C\n\nthree\n\n## D\n\nfour\n\n# E\n\nfive\n") == [
        ((), "intro"),
        (("A",), "# A\n\none"),
        (("A", "B"), "## B\n\ntwo"),
        (("A", "B", "C"), "### C\n\nthree"),
        (("A", "D"), "## D\n\nfour"),
        (("E",), "# E\n\nfive"),
    ]


def test_a_heading_with_nothing_of_its_own_goes_with_what_is_deeper() -> None:
    assert texts("# A\n\n## B\n\ntext\n") == [(("A", "B"), "# A\n\n## B\n\ntext")]


def test_lone_headings_are_no_passages() -> None:
    assert texts("# A\n\ntext\n\n## B\n\n## C\n\n# D\n\nmore\n\n# E\n") == [
        (("A",), "# A\n\ntext"),
        (("D",), "# D\n\nmore"),
    ]
    long = "word " * 238
    assert texts(f"# A heading of some length before a long text\n\n{long}")[0][1].startswith("word")


def test_a_document_of_headings_alone_is_still_there() -> None:
    assert texts("# A\n\n## B\n") == [((), "# A\n\n## B")]


def test_underlined_headings_count() -> None:
    assert texts("Top\n===\n\none\n\nSub\n---\n\ntwo\n") == [
        (("Top",), "# Top\n\none"),
        (("Top", "Sub"), "## Sub\n\ntwo"),
    ]


def test_a_fence_hides_what_looks_like_a_heading() -> None:
    assert [headings for headings, _ in texts("# A\n\n```\n# not\n```\n\ntext")] == [("A",)]


def test_small_paragraphs_share_a_passage() -> None:
    assert [text for _, text in texts("one\n\ntwo\n\nthree")] == ["one\n\ntwo\n\nthree"]


def test_paragraphs_are_kept_whole_where_they_fit() -> None:
    first, second = "a " * 60, "b " * 60
    assert [text for _, text in texts(f"{first}\n\n{second}", 200)] == [first.strip(), second.strip()]


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    sentence = "This is a sentence of some length. "
    cut = [text for _, text in texts(sentence * 20, 200)]
    assert len(cut) == 4
    assert all(text.endswith("length.") for text in cut)


def test_a_long_paragraph_is_cut_into_parts_of_like_length() -> None:
    lengths = [len(text) for _, text in texts("A short sentence. " * 70, 1200)]
    assert len(lengths) == 2
    assert min(lengths) > 0.8 * max(lengths)


def test_chinese_is_cut_between_sentences() -> None:
    cut = [text for _, text in texts("水坝拦住了水。闸门向上打开。" * 20, 200)]
    assert len(cut) > 1
    assert all(text.endswith("。") for text in cut)


@pytest.mark.parametrize("text", ["x" * 5000, "水" * 5000])
def test_a_word_without_end_is_cut_anyway(text: str) -> None:
    cut = [text for _, text in texts(text, 1000)]
    assert "".join(cut) == text
    assert 5 <= len(cut) <= 7


def test_a_sentence_has_a_longest_length() -> None:
    text, pieces = split([Block(Kind.TEXT, "some words, and " * 60)], 1200)
    found = quoted(text, pieces)
    assert len(found) > 1
    assert all(len(one) <= LONGEST for one in found)
    assert all(one.endswith(",") for one in found[:-1])


def test_what_is_behind_the_64th_sentence_can_be_quoted() -> None:
    text, pieces = split([Block(Kind.TEXT, " ".join(f"No {n}." for n in range(150)))], 8000)
    assert len(quoted(text, pieces)) == 150
    assert len(pieces) == 3
    rows = [Block(Kind.TABLE, f"n: {n}", tight=True) for n in range(150)]
    text, pieces = split(rows, 8000)
    assert quoted(text, pieces) == [f"n: {n}" for n in range(150)]
    assert [piece.kind for piece in pieces] == ["table"] * 3


def test_what_introduces_goes_along_with_what_follows() -> None:
    filler = "Some words of a text that fills the passage. " * 4
    code = "```\nrun --it\n```"
    blocks = [
        Block(Kind.TEXT, filler.strip()),
        Block(Kind.TEXT, "Start it with:"),
        Block(Kind.CODE, code, whole=True, introduced=True),
    ]
    text, pieces = split(blocks, 200)
    assert [text[slice(*piece.span)] for piece in pieces] == [filler.strip(), f"Start it with:\n\n{code}"]
    assert quoted(text, pieces)[-1] == f"Start it with:\n\n{code}"


def test_the_page_and_the_kind_are_those_of_the_passage() -> None:
    blocks = [
        Block(Kind.HEADING, "Prices", level=1, title="Prices", page=3),
        Block(Kind.TABLE, "part: seal; price: two crowns", page=3),
        Block(Kind.TEXT, "Or less.", page=4),
    ]
    row, text = split(blocks, 1200)[1]
    assert (row.page, row.kind, row.headings) == (3, "table", ("Prices",))
    assert (text.page, text.kind, text.headings) == (4, "text", ("Prices",))


def test_tables_of_contents_are_in_no_passage() -> None:
    contents = "1 Introduction ........ 1\n2 Pumps . . . . . . . 12\n2.1 Seals ............ xii"
    text, pieces = split(read_plain(f"Before.\n\n{contents}\n\nAfter it.".encode()).blocks, 1200)
    assert [text[slice(*piece.span)] for piece in pieces] == ["Before.", "After it."]
