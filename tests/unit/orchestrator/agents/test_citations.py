"""Marks in a text that streams, and text that was said before."""

import pytest

from services.orchestrator.agents.loop.citations import AGAIN, CitationWriter, Marks, quotes
from services.orchestrator.domain.event import CitationAdded, Span, TextDelta
from services.orchestrator.domain.passage import Passage

PASSAGES = [Passage(f"p{number}", "d", "T", "u", f"Text {number}.", 10 * number, 0.5) for number in (1, 2, 3)]

TEXTS = [
    ("Cats sleep [1].", [("p1", "Cats sleep")]),
    ("Cats sleep. [1] Dogs run [2].", [("p1", "Cats sleep."), ("p2", "Dogs run")]),
    ("I think so. Cats sleep [1, 3]", [("p1", "Cats sleep"), ("p3", "Cats sleep")]),
    ("Cats sleep [1][2].", [("p1", "Cats sleep"), ("p2", "Cats sleep")]),
    ("Cats [9] sleep [x] [] [2", []),
    ("猫は寝る。犬は走る[2]。", [("p2", "犬は走る")]),
    ("- One [1]\n- Two [2]", [("p1", "- One"), ("p2", "- Two")]),
    ("A [1]. B. C [2]", [("p1", "A"), ("p2", "C")]),
]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_marks_are_found_however_the_text_is_cut(text: str, expected: list[tuple[str, str]], size: int) -> None:
    marks = Marks(PASSAGES)
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    found = [pair for piece in pieces for pair in marks.read(piece)]
    assert [(citation.passage_id, text[span.start : span.end]) for citation, span in found] == expected


def test_a_mark_cites_the_passage_as_a_whole() -> None:
    ((citation, _),) = Marks(PASSAGES).read("x [2]")
    assert (citation.span, citation.quote, citation.document_id) == (Span(20, 27), "Text 2.", "d")


def test_a_step_begins_on_a_line_of_its_own() -> None:
    writer = CitationWriter("Before.", passages=PASSAGES)
    text, citation = writer.write("After [1]")
    assert text == TextDelta("\n\nAfter [1]")
    assert isinstance(citation, CitationAdded)
    assert "Before.\n\nAfter [1]"[citation.answer_span.start : citation.answer_span.end] == "After"


@pytest.mark.parametrize("said", ["", "On", "One [1] tw", "One [1] two"])
def test_what_was_said_is_not_said_again(said: str) -> None:
    writer = CitationWriter("", said, int("[1]" in said), PASSAGES)
    bodies = [body for piece in ("One", " [1] ", "two") for body in writer.write(piece)]
    assert said + "".join(body.text for body in bodies if isinstance(body, TextDelta)) == "One [1] two"
    assert sum(isinstance(body, CitationAdded) for body in bodies) == int("[1]" not in said)


def test_another_text_begins_again() -> None:
    writer = CitationWriter("Before ", "Cats", 0, PASSAGES)
    bodies = [body for piece in ("Ca", "rs drive [1]") for body in writer.write(piece)]
    answer = "Before Cats" + "".join(body.text for body in bodies if isinstance(body, TextDelta))
    assert answer == f"Before Cats{AGAIN}Cars drive [1]"
    (citation,) = [body for body in bodies if isinstance(body, CitationAdded)]
    assert answer[citation.answer_span.start : citation.answer_span.end] == "Cars drive"


def test_quotes_are_found_in_the_order_of_the_answer() -> None:
    passage = Passage("p", "d", "T", "u", "One is\nhere. Two is there.", 5, 0.5, sentences=(Span(0, 12), Span(13, 26)))
    found = quotes("Two is there. One is here.", [passage])
    assert [(citation.quote, citation.span, span) for citation, span in found] == [
        ("Two is there.", Span(18, 31), Span(0, 13)), ("One is here.", Span(5, 17), Span(14, 26)),
    ]  # fmt: skip
