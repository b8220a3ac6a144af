"""What a model reads of passages that are more than it is to read."""

from dataclasses import replace

import pytest

from services.llm.tokens import estimate
from services.orchestrator.domain.event import Span
from services.orchestrator.domain.passage import Found, Passage
from services.orchestrator.rag.compress import GAP, PER_PASSAGE, compress

QUESTION = "How long does the pump run?"
FILLER = ("The valve is green and made of brass.", "Wipe the lid with a dry cloth.", "Many people like its handle.")
ANSWER = "The pump runs for six hours."


def passage(number: int, *sentences: str, gap: str = " ", **more: object) -> Passage:
    spans, at = [], 0
    for text in sentences:
        spans.append(Span(at, at + len(text)))
        at += len(text) + len(gap)
    return Passage(
        f"p{number}", f"d{number}", "Pumps", "u", gap.join(sentences), 0, 1.0 / number, 0.5, 5.0, tuple(spans),
        **more,  # type: ignore[arg-type]
    )  # fmt: skip


def read(found: Found, most: int, question: str = QUESTION) -> list[str]:
    return [one.reading for one in compress(question, found, most).passages]


def test_what_is_short_enough_is_as_it_was() -> None:
    found = Found((passage(1, *FILLER, ANSWER),))
    assert compress(QUESTION, found, 1000) is found


def test_the_sentences_that_answer_are_kept_in_their_places() -> None:
    found = Found((passage(1, *FILLER, ANSWER, "The pump then rests."), passage(2, *FILLER)))
    first, second = read(found, PER_PASSAGE + 6 + estimate(ANSWER) + estimate("The pump then rests."))
    assert first == f"… {ANSWER} The pump then rests."
    assert second == ""


def test_a_gap_is_marked_where_something_is_left_out_and_lines_stay() -> None:
    found = Found((passage(1, ANSWER, "It hums.", FILLER[0], "A pump is run by a belt.", gap="\n"),))
    most = PER_PASSAGE + 6 + sum(map(estimate, (ANSWER, "A pump is run by a belt.")))
    assert read(found, most) == [f"{ANSWER}{GAP}A pump is run by a belt."]
    kept = read(Found((passage(1, "The pump runs.", "It runs for six hours.", *FILLER, gap="\n"),)), 34)
    assert kept == ["The pump runs.\nIt runs for six hours. …"]


def test_what_is_said_twice_is_read_once() -> None:
    found = Found((passage(1, ANSWER, *FILLER), passage(2, ANSWER.lower(), "The pump is run at night.", *FILLER)))
    texts = read(found, 60)
    assert sum(ANSWER.lower() in text.lower() for text in texts) == 1
    assert any("at night" in text for text in texts)


def test_what_is_said_after_another_lead_is_not_the_same() -> None:
    found = Found((passage(1, "six hours", "six hours", *FILLER, leads=("Pump", "Drill", "", "", "")),))
    assert read(found, PER_PASSAGE + 16, "How long do the pump and the drill run?") == [
        "Pump: six hours Drill: six hours …"
    ]


def test_figures_that_differ_are_not_the_same() -> None:
    other = "The pump runs for nine hours."
    found = Found((passage(1, ANSWER, *FILLER), passage(2, other, *FILLER)))
    assert read(found, 50) == [f"{ANSWER} …", f"{other} …"]


def test_the_best_sentence_is_read_however_long() -> None:
    long = ANSWER[:-1] + " and more" * 100 + "."
    assert read(Found((passage(1, long, *FILLER),)), 50) == [f"{long} …"]


def test_a_sentence_is_read_after_its_lead() -> None:
    found = Found((passage(1, "six hours", *FILLER, leads=("Pump: run time", "", "", "Valve: use")),))
    assert read(found, PER_PASSAGE + 13, "What is the run time of the pump?") == ["Pump: run time: six hours …"]


@pytest.mark.parametrize(("most", "read_whole"), [(50, False), (160, True), (10_000, True)])
def test_passages_without_sentences_are_read_whole_or_not_at_all(most: int, read_whole: bool) -> None:
    found = Found((passage(1, ANSWER, *FILLER), replace(passage(2), text="A pump. " * 40)))
    texts = read(found, most)
    assert texts[1] == ("A pump. " * 40 if read_whole else "")


def test_nothing_that_has_no_room_is_read() -> None:
    found = Found(tuple(passage(number, ANSWER + str(number), *FILLER) for number in range(1, 9)))
    for most in (60, 100, 150):
        texts = read(found, most)
        assert sum(estimate(text) + PER_PASSAGE for text in texts if text) <= most


def test_what_stands_before_a_sentence_and_is_none_goes_with_it() -> None:
    text = f"{FILLER[0]}\n\n~.      {ANSWER}\n\n~?  {FILLER[1]} {FILLER[2]}"
    spans = tuple(Span(text.index(one), text.index(one) + len(one)) for one in (FILLER[0], ANSWER, *FILLER[1:]))
    found = Found((replace(passage(1, ANSWER), text=text, sentences=spans),))
    assert read(found, PER_PASSAGE + 14) == [f"… ~.      {ANSWER} …"]
