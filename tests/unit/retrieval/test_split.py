"""Passages: what they cover, how long they are, where they are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retrieval.ingest.html import read_html
from services.retrieval.ingest.split import Heading, split
from services.retrieval.ingest.text import read_markdown

PARTS = st.sampled_from(
    [
        "word",
        " ",
        "\n",
        "\n\n",
        ". ",
        "。",
        "水坝",
        "# Title\n",
        "## Sub\n\n",
        "```\n",
        "x" * 50,
        "\u3000",
        "- item\n",
        "é",
    ]
)
TEXTS = st.one_of(st.lists(PARTS, max_size=120).map("".join), st.text(max_size=400))


@given(TEXTS, st.integers(20, 200))
def test_every_character_is_in_one_passage_and_none_is_too_long(text: str, limit: int) -> None:
    pieces = split(text, read_markdown_headings(text), limit)
    end = 0
    for piece in pieces:
        start, stop = piece.span
        assert start >= end
        assert not text[end:start].strip()
        assert 0 < stop - start <= limit
        assert text[start:stop] == text[start:stop].strip()
        end = stop
    assert not text[end:].strip()


@given(TEXTS, st.integers(20, 200))
def test_sentences_are_ranges_of_their_passage_in_order(text: str, limit: int) -> None:
    for piece in split(text, read_markdown_headings(text), limit):
        length = piece.span[1] - piece.span[0]
        end = 0
        assert piece.sentences
        for start, stop in piece.sentences:
            assert end <= start < stop <= length
            end = stop


def read_markdown_headings(text: str) -> list[Heading]:
    """Headings at lines that begin with a number sign; the text stays as it is, line ends included."""
    found = []
    at = 0
    for line in text.split("\n"):
        if line.startswith("#") and line.strip("# "):
            found.append(Heading(at, len(line) - len(line.lstrip("#")), line.strip("# ")))
        at += len(line) + 1
    return found


def texts(markdown: str, limit: int = 1200) -> list[tuple[tuple[str, ...], str]]:
    extract = read_markdown(markdown.encode())
    return [
        (piece.headings, extract.text[slice(*piece.span)]) for piece in split(extract.text, extract.headings, limit)
    ]


def test_headings_make_the_path() -> None:
    assert texts("intro\n\n# A\n\none\n\n## B\n\ntwo\n\n### C\n\nthree\n\n## D\n\nfour\n\n# E\n\nfive\n") == [
        ((), "intro"),
        (("A",), "# A\n\none"),
        (("A", "B"), "## B\n\ntwo"),
        (("A", "B", "C"), "### C\n\nthree"),
        (("A", "D"), "## D\n\nfour"),
        (("E",), "# E\n\nfive"),
    ]


def test_a_heading_with_nothing_of_its_own_goes_with_what_follows() -> None:
    assert texts("# A\n\n## B\n\ntext\n") == [(("A", "B"), "# A\n\n## B\n\ntext")]


def test_underlined_headings_count() -> None:
    assert texts("Top\n===\n\none\n\nSub\n---\n\ntwo\n") == [
        (("Top",), "Top\n===\n\none"),
        (("Top", "Sub"), "Sub\n---\n\ntwo"),
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
    cut = [text for _, text in texts("水坝拦住了水。闸门向上打开。" * 20, 60)]
    assert all(text.endswith("。") for text in cut)


@pytest.mark.parametrize("text", ["x" * 5000, "水" * 5000, "." * 5000])
def test_a_word_without_end_is_cut_anyway(text: str) -> None:
    cut = [text for _, text in texts(text, 1000)]
    assert "".join(cut) == text
    assert len(cut) == 5


MARKDOWN = """# Pumps

Pumps move water. They need power.

```
pump --start  # starts it
```

1. Open the valve.
2. Close
   the drain.

| part | price |
| --- | --- |
| seal | two crowns |

Underlined
==========
The end.
"""


def test_headings_code_and_rules_are_no_sentences() -> None:
    extract = read_markdown(MARKDOWN.encode())
    pieces = split(extract.text, extract.headings, 2000, extract.apart)
    assert [piece.headings for piece in pieces] == [("Pumps",), ("Underlined",)]
    quoted = [
        extract.text[piece.span[0] + start : piece.span[0] + stop]
        for piece in pieces
        for start, stop in piece.sentences
    ]
    assert quoted == [
        "Pumps move water.",
        "They need power.",
        "Open the valve.",
        "Close\n   the drain.",
        "| seal | two crowns |",
        "The end.",
    ]


def test_a_passage_of_code_alone_has_no_sentence() -> None:
    extract = read_markdown(b"```\nx = 1\ny = 2\n")
    assert [piece.sentences for piece in split(extract.text, extract.headings, 200, extract.apart)] == [()]


def test_html_headings_and_code_are_no_sentences() -> None:
    extract = read_html(b"<h1>Pumps</h1><p>They need power.</p><pre>pump --start</pre><p>The end.</p>")
    (piece,) = split(extract.text, extract.headings, 2000, extract.apart)
    assert [extract.text[slice(*span)] for span in piece.sentences] == ["They need power.", "The end."]


TABLES = """# Failures

| what dies | what goes on |
|---|---|
| `control` | Envoy keeps its routes. Nothing new. See [a](b.md). |
| Triton | Search by words. |

After it. See [more](c.md). As told in
the [guide](g.md). [Bare](d.md): and so on.
"""


def test_a_row_is_one_sentence_and_what_only_refers_is_none() -> None:
    extract = read_markdown(TABLES.encode())
    (piece,) = split(extract.text, extract.headings, 2000, extract.apart)
    start = piece.span[0]
    assert [extract.text[start + low : start + high] for low, high in piece.sentences] == [
        "| `control` | Envoy keeps its routes. Nothing new. See [a](b.md). |",
        "| Triton | Search by words. |",
        "After it.",
        "As told in\nthe [guide](g.md).",
        "and so on.",
    ]


HTML_TABLES = [
    (
        "<table><tr><th>what</th><th>goes on</th></tr>"
        "<tr><td><code>control</code></td><td>All. Nothing new.</td></tr></table>",
        ["| control | All. Nothing new. |"],
    ),
    ("<table><tr><td>a | b</td><td>c</td></tr></table>", [r"| a \| b | c |"]),
    ("<table><tr><td><p>Laid out.</p><p>By it.</p></td><td>Here.</td></tr></table>", ["Laid out.", "By it.", "Here."]),
    ("<table><tr><td>One cell.</td></tr></table>", ["One cell."]),
    (
        "<table><tr><td>a<table><tr><td>b</td><td>c</td></tr></table></td><td>d</td></tr></table>",
        ["a", "| b | c |", "d"],
    ),
    ("<table><tr><td>a<script>x</script></td><td>b</td></tr></table>", ["a", "b"]),
]


@pytest.mark.parametrize(("page", "quoted"), HTML_TABLES)
def test_the_cells_of_a_row_of_html_stay_together(page: str, quoted: list[str]) -> None:
    extract = read_html(page.encode())
    pieces = split(extract.text, extract.headings, 2000, extract.apart)
    assert [
        extract.text[piece.span[0] + low : piece.span[0] + high] for piece in pieces for low, high in piece.sentences
    ] == quoted
