"""What is asked of the store, and how its answers become one ranking."""

import numpy as np
import pytest

from services.retrieval.model import Candidates, Condition, DocumentFilter, SearchMode, SearchRequest, Signal
from services.retrieval.search.fusion import Fused
from services.retrieval.search.plan import SPOKEN, plan
from services.retrieval.search.sentences import cosines
from services.runtime.errors import InvalidArgument
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


class TestSentences:
    def test_cosines_do_not_depend_on_the_scale(self) -> None:
        rows = np.array([[50, 0], [100, 0], [0, 9], [0, 0]], dtype=np.int8)
        assert cosines(rows, np.array([1, 0], dtype=np.float32)) == [1, 1, 0, 0]


@pytest.mark.parametrize("query", ["do cats sleep?", "猫睡觉吗？", "спят ли кошки?"])
def test_an_embedder_of_every_language_is_asked_in_each(query: str) -> None:
    planned = plan(SearchRequest("docs", query), frozenset())
    assert planned.embed
    assert planned.weights == SPOKEN
