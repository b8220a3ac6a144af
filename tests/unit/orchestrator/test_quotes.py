"""Which sentences are quoted, and when none is."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from services.orchestrator.rag.amounts import asks_amount
from services.orchestrator.rag.names import names
from services.orchestrator.rag.quotes import QuoteQuestion, QuoteSource, choose
from services.orchestrator.settings import OrchestratorSettings
from services.runtime.language.script import latin_share
from services.runtime.language.terms import question_terms, stem, terms

SENTENCES = [
    "The headworks stand at the river's mouth.",
    "They were built in 1912 by the engineer Anna Weir.",
    "Bread is baked from flour and water.",
    "Bakers rise early in the morning.",
]
NOT_EMBEDDED = np.empty(0, np.float32)


def question(text: str, cosine: list[float], **changes: object) -> QuoteQuestion:
    scores = np.array([[0.6, 8.0], [0.2, 1.0]], dtype=np.float32)
    plain = QuoteQuestion(
        text, SENTENCES, np.array(cosine, np.float32), np.array([0, 0, 1, 1], dtype=np.int32), scores, 2
    )
    return replace(plain, **changes)  # type: ignore[arg-type] # the tests name the fields


def numbers(question: QuoteQuestion, threshold: float = 0.5) -> list[int]:
    return [number for number, _ in choose(question, threshold).chosen]


WHEN_BUILT = "When were the headworks built?"


def test_the_answering_sentence_comes_first() -> None:
    found = choose(question(WHEN_BUILT, [0.6, 0.7, 0.1, 0.0]), 0.5)
    assert [number for number, _ in found.chosen] == [1, 0]
    assert found.confidence > 0.5
    scores = [score for _, score in found.chosen]
    assert scores == sorted(scores, reverse=True)
    assert found.tokens_read > found.tokens_written > 0


def test_it_declines_what_the_passages_do_not_say() -> None:
    found = choose(question("Who won the football match yesterday?", [0.1, 0.1, 0.0, 0.1]), 0.5)
    assert found.chosen == []
    assert found.confidence < 0.1
    assert found.tokens_written == 0


@pytest.mark.parametrize(("threshold", "declines"), [(0.0, False), (1.0, True)])
def test_the_threshold_decides(threshold: float, declines: bool) -> None:
    assert (numbers(question(WHEN_BUILT, [0.5, 0.7, 0.1, 0.0]), threshold) == []) is declines


@pytest.mark.parametrize(("wanted", "given"), [(1, 1), (2, 2), (9, 2)])
def test_no_more_sentences_than_asked_for(wanted: int, given: int) -> None:
    assert len(numbers(question(WHEN_BUILT, [0.6, 0.7, 0.1, 0.0], max_sentences=wanted))) == given


def test_without_sentences_there_is_no_answer() -> None:
    nothing = question(
        WHEN_BUILT, [], sentences=[], passage=np.empty(0, np.int32), passage_scores=np.empty((0, 2), np.float32)
    )
    assert choose(nothing, 0.0).chosen == []


def test_passages_behind_the_third_are_not_read() -> None:
    scores = np.full((5, 2), 0.5, dtype=np.float32)
    late = question(WHEN_BUILT, [0.5, 0.9, 0.1, 0.0], passage=np.array([0, 3, 3, 4], np.int32), passage_scores=scores)
    assert numbers(late, 0.0) == [0]


@pytest.mark.parametrize("missing", [np.nan, 0.0])
def test_missing_scores_do_not_matter_much(missing: float) -> None:
    scores = np.full((2, 2), missing, dtype=np.float32)
    found = choose(question(WHEN_BUILT, [0.5, 0.7, 0.1, 0.0], passage_scores=scores), 0.5)
    assert found.chosen[0][0] == 1
    assert all(np.isfinite(score) for _, score in found.chosen)


def test_chinese_is_answered_by_its_characters_alone() -> None:
    chinese = question(
        "取水口建于哪年？",
        [0.0] * 4,
        cosines=NOT_EMBEDDED,
        sentences=["面包由面粉制成。", "取水口建于1912年。", "河流很长。", "面包师起得很早。"],
    )
    assert numbers(chinese)[0] == 1


def test_a_passage_may_cover_a_chinese_question_with_several_sentences() -> None:
    """Each sentence has half of it; in one passage that is an answer, in two it is none."""
    sentences = ["长城东起虎山。", "它的长度是八千公里。"]
    asked = QuoteQuestion(
        "长城长度多少公里？", sentences, NOT_EMBEDDED,
        np.array([0, 0], np.int32), np.array([[np.nan, 5.0], [np.nan, 4.0]], np.float32), 2,
    )  # fmt: skip
    together = choose(asked, 0.0).confidence
    apart = choose(replace(asked, passage=np.array([0, 1], np.int32)), 0.0).confidence
    assert together > apart


def test_a_question_of_stop_words_is_no_error() -> None:
    assert choose(question("what is it", [0.0] * 4), 0.5).chosen == []
    assert choose(question("", [0.0] * 4), 0.5).chosen == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Engineer's boxes, baking 1,200 breads", ["engineer", "box", "bak", "1200", "bread"]),
        ("Café NAÏVE", ["cafe", "naiv"]),
        ("取水口", ["取", "水", "口", "取水", "水口"]),
        ("", []),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert terms(text) == [stem(term) if term.isascii() else term for term in expected]


def test_question_terms_leave_out_what_asks() -> None:
    assert question_terms("谁建了?") == ["建", "了", "建了"]
    assert question_terms("water, Water!") == ["water"]


@pytest.mark.parametrize(("text", "share"), [("abc", 1), ("水口", 0), ("ab水口", 0.5), ("123", 1)])
def test_latin_share(text: str, share: float) -> None:
    assert latin_share(text) == share


def test_a_threshold_that_is_no_share_is_refused() -> None:
    with pytest.raises(ValidationError, match="answer_threshold"):
        OrchestratorSettings.model_validate({"answer_threshold": 1.5})


def test_a_further_sentence_is_quoted_where_it_adds() -> None:
    """Not one that is far behind the best, nor one that says nothing that is not yet said."""
    sentences = [
        "The headworks were built in 1887 by the town.",
        "In 1887 the town built the headworks.",
        "The headworks were built in three years of work by two hundred men.",
        "Otters live there.",
    ]
    asked = question(
        WHEN_BUILT, [0.8, 0.8, 0.7, 0.1], sentences=sentences, max_sentences=4, passage=np.zeros(4, np.int32)
    )
    assert numbers(asked) == [0, 2]


def manual(product: str, litres: int) -> tuple[str, QuoteSource]:
    return f"The tank holds {litres} litres of water.", QuoteSource(product, f"{product} manual", "Tank")


def of_manuals(text: str, *products: str) -> QuoteQuestion:
    """The question, and a sentence from each product's manual; all near it alike."""
    found = [manual(product, 10 + place) for place, product in enumerate(products)]
    return QuoteQuestion(
        text, [sentence for sentence, _ in found], np.full(len(found), 0.7, np.float32),
        np.arange(len(found), dtype=np.int32), np.full((len(found), 2), 0.5, np.float32), 1,
        sources=[source for _, source in found],
    )  # fmt: skip


def test_the_document_that_the_question_names_is_quoted() -> None:
    asked = "How many litres of water does the tank of the X207 hold?"
    three = of_manuals(asked, "X200", "X207", "X214")
    found = choose(three, 0.4)
    assert [number for number, _ in found.chosen] == [1]
    assert found.confidence > choose(replace(three, sources=()), 0.0).confidence


def test_confidence_falls_where_another_document_says_the_same_of_something_else() -> None:
    asked = "How many litres of water does the tank hold?"
    alone = choose(of_manuals(asked, "X200"), 0.0).confidence
    assert choose(of_manuals(asked, "X200", "X207"), 0.0).confidence == pytest.approx(alone / 2, rel=0.1)
    same = of_manuals(asked, "X200", "X207")
    same = replace(same, sentences=[same.sentences[0]] * 2)
    assert choose(same, 0.0).confidence > 0.9 * alone


def test_what_another_document_says_of_something_else_is_no_further_quote() -> None:
    asked = "How many litres of water does the tank of the X207 hold?"
    three = of_manuals(asked, "X200", "X207", "X214")
    assert numbers(replace(three, max_sentences=3), 0.4) == [1]
    assert len(numbers(replace(three, max_sentences=3, sources=()), 0.4)) == 3
    unnamed = of_manuals("How many litres of water does the tank hold?", "X200", "X207")
    assert numbers(replace(unnamed, max_sentences=2), 0.0) == [0]


def test_a_heading_counts_half_as_if_the_sentence_said_it() -> None:
    source = QuoteSource("d", "", "Warranty")
    asked = question("How long is the warranty?", [0.4] * 4, sources=(source, source))
    assert choose(asked, 0.0).confidence > choose(replace(asked, sources=()), 0.0).confidence


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("How many tables can I join?", True),
        ("Wie lange wartet NFS?", True),
        ("最多可以有几个域？", True),
        ("Why so?", False),
        ("When was it built?", True),
        ("Since when does it hold?", True),
        ("What happens when control dies?", False),
        ("Que se passe-t-il quand le disque est plein ?", False),
        ("Что делать, когда диск полон?", False),
        ("Когда построен шлюз?", True),
    ],
)
def test_what_asks_for_an_amount(text: str, amount: bool) -> None:
    assert asks_amount(text) is amount


def test_a_sentence_with_a_figure_answers_how_many() -> None:
    """Though another one is as near, and says as many of the question's words."""
    sentences = ["A join of many tables is prepared quickly.", "A join of tables has 64 of them at most."]
    asked = question(
        "How many tables can a join have?", [0.6, 0.5], sentences=sentences, passage=np.zeros(2, np.int32),
        max_sentences=1,
    )  # fmt: skip
    assert numbers(asked) == [1]
    assert numbers(replace(asked, text="Why can a join have tables?")) == [0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How do I send warnings to a Slack channel on IPv6?", ["Slack", "IPv6"]),
        ("Wie installiere ich Debian auf einem iPad?", ["iPad"]),
        ("怎样在 Excel 里合并两列单元格？", ["Excel"]),
        ("Where is it?", []),
    ],
)
def test_names_of_a_question(text: str, expected: list[str]) -> None:
    assert list(names(text)) == expected


def test_confidence_falls_where_nothing_says_what_the_question_names() -> None:
    near = [0.5, 0.5, 0.1, 0.0]
    named = choose(question("Did Weir build the headworks?", near), 0.0).confidence
    assert choose(question("Did Smith build the headworks?", near), 0.0).confidence < named / 2
    source = QuoteSource("smith.html", "", "")
    of_smith = question("Did Smith build the headworks?", near, sources=(source, source))
    assert choose(of_smith, 0.0).confidence > choose(replace(of_smith, sources=()), 0.0).confidence


def test_function_words_are_no_evidence() -> None:
    """A Russian sentence that has but those of the question does not answer it."""
    asked = QuoteQuestion(
        "Когда был построен мост через реку?", ["Он был там, когда через год пришёл другой."], NOT_EMBEDDED,
        np.zeros(1, np.int32), np.array([[np.nan, 3.0]], np.float32), 1,
    )  # fmt: skip
    assert numbers(asked, 0.4) == []
    assert numbers(replace(asked, sentences=["Мост через реку построен в 1912 году."]), 0.4) == [0]


def test_a_further_sentence_of_another_passage_has_to_come_near() -> None:
    sentences = ["The headworks were built in 1887 by the town.", "The headworks were built in stone and oak."]
    same = question(WHEN_BUILT, [0.8, 0.7], sentences=sentences, passage=np.zeros(2, np.int32))
    assert numbers(same) == [0, 1]
    assert numbers(replace(same, passage=np.array([0, 1], np.int32))) == [0]
