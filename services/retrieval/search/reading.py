"""The best candidates read closely, as one more signal: how near their nearest two sentences are to the query, and how
many of its words they hold.

A passage's vector blends all that it says, and BM25 is content with one rare word. What answers a question says so in a
sentence or two, and has most of its words at once, in it or above it. Sentences have had vectors since ingestion, so
that no model is asked.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from services.retrieval.model import Passage, Sentences, SentenceScores
from services.retrieval.search.plan import SearchPlan
from services.runtime.language.terms import folded, function_terms, question_terms

DEPTH = 10
"""How many of the best are read."""
SENTENCES = 2
# What the sentences and the words count, where dense and lexical count one together. Chosen on the tuned part of
# bench.documents and on XQuAD; from 0.5 and 0.2 to 1.2 and 0.6 they give nearly the same.
NEAR, WORDS = 0.9, 0.44


class Read(NamedTuple):
    """A passage that was fetched, with its sentences and how near each is to the query; None for what is not asked."""

    passage: Passage
    sentences: Sentences | None
    scores: SentenceScores | None


def can_read(planned: SearchPlan) -> bool:
    """Whether it would tell something: where both signals are used, and the embedder reads the query's language."""
    return planned.embed and planned.read and planned.lexical is not None


def score(planned: SearchPlan, read: Mapping[str, Read]) -> Mapping[str, float]:
    """0 to 1 for each passage, by its id."""
    asked = _content(planned.query, planned.language)
    # What folding does to ASCII but for lower case matters little here, and takes a hundred times as long.
    fold = str.lower if planned.query.isascii() else folded
    return {
        passage_id: (NEAR * _nearness(each.scores) + WORDS * _held(asked, each.passage, fold)) / (NEAR + WORDS)
        for passage_id, each in read.items()
    }


def _nearness(scored: SentenceScores | None) -> float:
    """The mean of the nearest sentences' scores; of one that is alone, half."""
    nearest = sorted(scored.scores, reverse=True)[:SENTENCES] if scored else ()
    return max(0.0, sum(nearest) / SENTENCES)


def _held(asked: Sequence[str], passage: Passage, fold: Callable[[str], str]) -> float:
    """The share of the terms that begin, or are within, a word of the passage or of what stands above it: near enough
    to BM25's words, and a hundredth of the time."""
    text = fold(" ".join((passage.title, *passage.headings, passage.text)))
    return sum(term in text for term in asked) / len(asked) if asked else 0.0


def _content(query: str, language: str) -> Sequence[str]:
    function = function_terms(language)
    return [term for term in question_terms(query) if term not in function]
