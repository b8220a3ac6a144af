"""What is asked of the store, and how its answers become one ranking."""

import numpy as np
import pytest

from services.retrieval.model import (
    Candidates,
    Condition,
    DocumentFilter,
    Passage,
    SearchMode,
    SearchRequest,
    Signal,
)
from services.retrieval.search import exact
from services.retrieval.search.fusion import Fused
from services.retrieval.search.plan import SearchPlan, plan, without_vector
from services.retrieval.search.sentences import cosines
from services.retrieval.search.weights import standing_out, weigh
from services.runtime.embedders import E5
from services.runtime.errors import InvalidArgument
from services.runtime.language.identifiers import identifiers
from services.runtime.language.script import Script

EVEN = {Signal.DENSE: 1.0, Signal.LEXICAL: 1.0}


def request(query: str, **fields: object) -> SearchRequest:
    return SearchRequest("docs", query, **fields)  # type: ignore[arg-type]


def rounded(fused: Fused) -> list[tuple[str, float]]:
    return [(passage_id, round(score, 6)) for passage_id, score in fused.ranked]


class TestPlan:
    def test_latin_uses_both_signals(self) -> None:
        planned = plan(request("  Who built the weir? "))
        assert (planned.query, planned.script) == ("Who built the weir?", Script.LATIN)
        assert planned.embed
        assert planned.lexical

    @pytest.mark.parametrize("query", ["谁建造了水坝？", "Кто построил плотину?"])
    def test_what_the_embedder_cannot_read_is_not_embedded(self, query: str) -> None:
        planned = plan(request(query))
        assert not planned.embed
        assert planned.lexical

    def test_a_mode_is_kept_to(self) -> None:
        dense, lexical = (
            plan(request("谁建", mode=SearchMode.DENSE)),
            plan(request("who built", mode=SearchMode.LEXICAL)),
        )
        assert (dense.embed, dense.lexical) == (True, None)
        assert not lexical.embed

    def test_an_embedder_of_all_languages_reads_them(self) -> None:
        everything = E5
        for query in ("谁建造了水坝？", "Кто построил плотину?", "Wer hat das Wehr gebaut?"):
            planned = plan(request(query), everything)
            assert (planned.embed, planned.read) == (True, True)

    def test_latin_letters_are_embedded_in_any_language(self) -> None:
        planned = plan(request("Wer hat das Wehr gebaut?"))
        assert (planned.language, planned.read, planned.embed) == ("de", False, True)

    def test_identifiers_are_looked_for_in_hybrid_searches_alone(self) -> None:
        query = "toner of the WF-M5799 and the WF-M5799, MP3"
        assert [found.key for found in plan(request(query)).identifiers] == ["wf-m5799"]
        assert plan(request(query, mode=SearchMode.DENSE)).identifiers == ()
        assert plan(request(query, mode=SearchMode.LEXICAL)).identifiers == ()
        assert len(plan(request(" ".join(f"AB-{number}00" for number in range(9)))).identifiers) == 4

    def test_a_query_without_words_has_no_lexical_part(self) -> None:
        assert plan(request("the of ?")).lexical is None

    def test_there_are_never_fewer_candidates_than_hits(self) -> None:
        assert plan(request("water")).limit == 5
        assert plan(request("water")).candidates >= 20
        assert plan(request("water", limit=100)).candidates >= 100

    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            (request(""), "empty"),
            (request(" \n\t"), "empty"),
            (request("x" * 8193), "8193 characters"),
            (request("x", limit=-1), "limit"),
            (request("x", limit=101), "limit"),
            (request("x", filter=DocumentFilter([Condition("kind", ["passage"])])), "field"),
            (request("x", filter=DocumentFilter([Condition("metadata.", ["x"])])), "field"),
            (request("x", filter=DocumentFilter([Condition("document_id", [])])), "values"),
            (request("x", filter=DocumentFilter((), [Condition("document_id", ["x"] * 257)])), "values"),
            (request("x", filter=DocumentFilter([Condition("document_id", ["x"])] * 33)), "conditions"),
        ],
    )
    def test_refuses(self, bad: SearchRequest, message: str) -> None:
        with pytest.raises(InvalidArgument, match=message):
            plan(bad)

    def test_accepts_the_longest(self) -> None:
        assert plan(request("x" * 8192, limit=100)).limit == 100


class TestFused:
    def test_adds_cosine_and_relative_bm25(self) -> None:
        found = {Signal.DENSE: [("a", 0.8), ("b", 0.5)], Signal.LEXICAL: [("b", 10.0), ("c", 5.0)]}
        fused = Fused(Candidates(found), EVEN)
        assert rounded(fused) == [("b", 0.75), ("a", 0.4), ("c", 0.25)]

    def test_uses_scores_of_what_the_other_signal_found(self) -> None:
        candidates = Candidates(
            {Signal.DENSE: [("a", 0.8)], Signal.LEXICAL: [("b", 10.0)]},
            {Signal.DENSE: {"b": 0.7}, Signal.LEXICAL: {"a": 0.0}},
        )
        fused = Fused(candidates, EVEN)
        assert [passage_id for passage_id, _ in fused.ranked] == ["b", "a"]
        dense, lexical = fused.signals("b")
        assert (dense.rank, dense.score, round(dense.contribution, 6)) == (0, 0.7, 0.35)
        assert (lexical.rank, lexical.score, round(lexical.contribution, 6)) == (1, 10.0, 0.5)

    def test_takes_a_score_apart(self) -> None:
        found = {Signal.DENSE: [("a", 0.8), ("b", 0.5)], Signal.LEXICAL: [("b", 10.0)]}
        fused = Fused(Candidates(found), {Signal.DENSE: 1.0, Signal.LEXICAL: 0.4})
        for passage_id, score in fused.ranked:
            assert score == pytest.approx(sum(part.contribution for part in fused.signals(passage_id)))
            assert 0 <= score <= 1
        assert [part.rank for part in fused.signals("b")] == [2, 1]

    def test_one_signal_alone_counts_whole(self) -> None:
        fused = Fused(Candidates({Signal.LEXICAL: [("a", 4.0), ("b", 1.0)]}), {Signal.DENSE: 1.0, Signal.LEXICAL: 0.4})
        assert rounded(fused) == [("a", 1.0), ("b", 0.25)]

    def test_a_negative_cosine_adds_nothing(self) -> None:
        fused = Fused(Candidates({Signal.DENSE: [("a", -0.3)]}), EVEN)
        assert fused.ranked == [("a", 0.0)]

    def test_equal_scores_are_in_a_fixed_order(self) -> None:
        fused = Fused(Candidates({Signal.DENSE: [("b", 0.5), ("a", 0.5)]}), EVEN)
        assert [passage_id for passage_id, _ in fused.ranked] == ["a", "b"]

    def test_nothing_found_is_nothing(self) -> None:
        assert Fused(Candidates({}), EVEN).ranked == []
        assert Fused(Candidates({Signal.DENSE: [], Signal.LEXICAL: []}), EVEN).ranked == []


def lexical(*scores: float) -> Candidates:
    found = [(str(number), score) for number, score in enumerate(scores)]
    return Candidates({Signal.DENSE: [("0", 0.5)], Signal.LEXICAL: found})


class TestWeights:
    def weight(self, query: str, candidates: Candidates) -> float:
        weights = weigh(plan(request(query)), candidates).by_signal
        return weights[Signal.LEXICAL] / weights[Signal.DENSE]

    def test_bm25_counts_more_where_the_embedder_does_not_read_the_language(self) -> None:
        english, german = "Who built the weir?", "Wer hat das Wehr gebaut?"
        assert self.weight(german, lexical(5, 4)) > self.weight(english, lexical(5, 4))
        assert self.weight("weir", lexical(5, 4)) == self.weight(english, lexical(5, 4))

    def test_bm25_counts_more_the_further_its_best_stands_out(self) -> None:
        query = "Who built the weir?"
        assert self.weight(query, lexical(9, 1)) > self.weight(query, lexical(9, 8)) > 0

    @pytest.mark.parametrize(("scores", "ahead"), [((), 0), ((0.0,), 0), ((4.0,), 1), ((4.0, 1.0), 0.75), ((4, 4), 0)])
    def test_how_far_the_best_stands_out(self, scores: tuple[float, ...], ahead: float) -> None:
        assert standing_out(lexical(*scores)) == ahead

    @pytest.mark.parametrize(
        ("planned", "used"),
        [
            (plan(request("谁建造了水坝？")), Signal.LEXICAL),
            (without_vector(plan(request("Who built the weir?"))), Signal.LEXICAL),
            (plan(request("water", mode=SearchMode.LEXICAL)), Signal.LEXICAL),
            (plan(request("water", mode=SearchMode.DENSE)), Signal.DENSE),
            (plan(request("the of ?")), Signal.DENSE),
        ],
    )
    def test_one_signal_alone_has_all_weight(self, planned: SearchPlan, used: Signal) -> None:
        weights = weigh(planned, lexical(5, 4))
        assert {signal for signal, weight in weights.by_signal.items() if weight} == {used}
        assert weights.reason


def passage(passage_id: str, text: str, title: str = "", headings: tuple[str, ...] = ()) -> Passage:
    return Passage(passage_id, f"doc-{passage_id}", title, "", headings, 0, (0, len(text)), text)


class TestExact:
    WANTED = tuple(identifiers("WF-M5799"))

    def ranked(self, query: str, *passages: Passage) -> list[tuple[str, float]]:
        wanted = identifiers(query)
        return list(exact.with_exact(Candidates({}), wanted, passages).found.get(Signal.EXACT, ()))

    def test_names_come_before_texts_and_wholes_before_parts(self) -> None:
        found = self.ranked(
            "WF-M5799",
            passage("longer", "the WF-M5799DWF"),
            passage("text", "the wf‑m5799."),
            passage("title", "ink", title="WF-M5799 manual"),
            passage("heading", "ink", headings=("Setup", "WF-M5799DWF")),
            passage("other", "the WF-M5798"),
        )
        assert found == [("heading", 1.0), ("title", 1.0), ("text", 0.75), ("longer", 0.5)]

    def test_a_part_is_held_too(self) -> None:
        assert self.ranked("M5799", passage("a", "the WF-M5799")) == [("a", 0.75)]
        assert self.ranked("nginx.conf", passage("a", "see /etc/nginx/nginx.conf")) == [("a", 0.75)]

    def test_of_several_all_count(self) -> None:
        found = self.ranked("v1.2.3 on WF-M5799", passage("both", "WF-M5799 has 1.2.3"), passage("one", "WF-M5799"))
        assert found == [("both", 0.75), ("one", 0.375)]

    def test_common_ones_and_those_that_nobody_holds_are_left_alone(self) -> None:
        many = [(str(number), 1.0) for number in range(exact.MOST_HOLDERS + 1)]
        assert exact.rare(self.WANTED, Candidates({}, exact=[many])) == {}
        assert exact.rare(self.WANTED, Candidates({}, exact=[[]])) == {}
        assert exact.rare(self.WANTED, Candidates({}, exact=[many[1:]])) == {
            self.WANTED[0]: [passage_id for passage_id, _ in many[1:]]
        }

    @pytest.mark.parametrize("level", [exact.NAMED, exact.WHOLE, exact.PARTIAL])
    def test_what_holds_one_is_first_whatever_the_other_signals_say(self, level: float) -> None:
        found = {
            Signal.DENSE: [("near", 1.0), ("holds", 0.0)],
            Signal.LEXICAL: [("near", 9.0), ("holds", 0.1)],
            Signal.EXACT: [("holds", level)],
        }
        planned = plan(request("toner of the WF-M5799"))
        fused = Fused(Candidates(found), weigh(planned, Candidates(found)).by_signal)
        assert [passage_id for passage_id, _ in fused.ranked] == ["holds", "near"]
        assert 0 <= fused.ranked[0][1] <= 1

    def test_a_level_is_never_made_up_for(self) -> None:
        found = {
            Signal.DENSE: [("text", 1.0), ("named", 0.0)],
            Signal.LEXICAL: [("text", 9.0), ("named", 0.1)],
            Signal.EXACT: [("named", exact.NAMED), ("text", exact.WHOLE)],
        }
        fused = Fused(Candidates(found), weigh(plan(request("the WF-M5799")), Candidates(found)).by_signal)
        assert fused.ranked[0][0] == "named"

    def test_candidates_stay_where_none_holds_it(self) -> None:
        candidates = Candidates({Signal.DENSE: [("a", 0.5)]})
        assert exact.with_exact(candidates, self.WANTED, [passage("a", "nothing")]) is candidates


class TestSupported:
    @pytest.mark.parametrize(
        ("found", "supported"),
        [
            ({Signal.DENSE: [("a", 0.3)]}, True),
            ({Signal.DENSE: [("a", 0.2)]}, False),
            ({Signal.DENSE: [("a", 0.2)], Signal.LEXICAL: [("a", 0.1)]}, True),
            ({Signal.DENSE: [("a", 0.2)], Signal.LEXICAL: [("b", 0.1)]}, False),
            ({Signal.DENSE: [("a", 0.2)], Signal.EXACT: [("a", 0.5)]}, True),
        ],
    )
    def test_by_a_word_an_identifier_or_a_cosine(
        self, found: dict[Signal, list[tuple[str, float]]], supported: bool
    ) -> None:
        weights = dict.fromkeys(Signal, 1.0)
        assert Fused(Candidates(found), weights).supported("a", 0.25) is supported


class TestSentences:
    def test_cosines_do_not_depend_on_the_scale(self) -> None:
        rows = np.array([[50, 0], [100, 0], [0, 9], [0, 0]], dtype=np.int8)
        assert cosines(rows, np.array([1, 0], dtype=np.float32)) == [1, 1, 0, 0]


@pytest.mark.parametrize("query", ["do cats sleep?", "猫睡觉吗？", "спят ли кошки?"])
def test_an_embedder_of_every_language_is_asked_in_each(query: str) -> None:
    planned = plan(SearchRequest("docs", query), E5)
    assert planned.embed
    assert planned.read


def test_bm25_counts_less_beside_an_embedder_that_finds_more() -> None:
    planned = plan(SearchRequest("docs", "do cats sleep?"), E5)
    candidates = Candidates({Signal.DENSE: [("p", 0.5)], Signal.LEXICAL: [("p", 3.0)]})
    usual, less = (weigh(planned, candidates, share).by_signal[Signal.LEXICAL] for share in (1.0, E5.lexical))
    assert less == pytest.approx(usual / 3)
