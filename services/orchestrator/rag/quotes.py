"""Answers quoted from passages: which sentences to quote, in which order, and whether to answer at all.

A sentence speaks for itself by its cosine and its share of the question's terms; the sentence before it and its
passage's rank add a little. The constants were fitted on XQuAD, with the articles left out in turn for the threshold.
What its document is called, and the headings above it, need not be said again by a sentence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np
import numpy.typing as npt

from services.orchestrator.rag.amounts import asks_amount, has_figure, names_default
from services.orchestrator.rag.names import names
from services.runtime.language.detect import ENGLISH, UNKNOWN, language_of
from services.runtime.language.markdown import FENCE
from services.runtime.language.script import has_cjk, is_unspaced, latin_share
from services.runtime.language.terms import function_terms, question_terms, terms

Floats = npt.NDArray[np.float32]

# The confidence is fitted for this many passages; those behind them are not read.
PASSAGES_READ = 3
# English's function words are left out by `terms`, but for these: they ask, and an answer has a figure instead.
ENGLISH_AMOUNT = frozenset(("many", "much"))
PREFIX = 5
PREFIX_CREDIT = 0.5
RARITY_POWER = 2
NEIGHBOUR_CREDIT = 0.3
PASSAGE_WEIGHT = 0.2
LEXICAL_WEIGHT = 0.4
# A further sentence is quoted where it has this share of the best one's score; from another passage it has to come
# nearer, and to have this share of the words that the best one has of the question.
FURTHER_SHARE = 0.68
APART_SHARE = 0.95
FURTHER_WORDS = 0.5
# Sentences that are looked at beyond those asked for, where some of the best do not add.
FURTHER_LOOKED_AT = 4
# A term of the question that only the document's title has counts for so much less, and one of a heading as half said.
TITLE_SHARE = 0.25
HEADING_CREDIT = 0.5
# What a figure counts in a sentence where the question asks for one, beside cosines, and beside words alone; and what
# the word default counts there, since it is what a manual's figure mostly is.
FIGURE_CREDIT = 0.35
WORDS_FIGURE_CREDIT = 0.1
DEFAULT_SHARE = 0.5
# A sentence of another document that comes so near to the best one, and has so many of its words but not all, says the
# same of something else: which of them was asked about is not known.
RIVAL_SHARE = 0.93
RIVAL_WORDS = 0.6
RIVAL_CONFIDENCE = 0.5
# Where an answer and a refusal are equally likely.
LATIN_EVIDENCE = 0.55
# By words alone, it is this share of them in one passage, where terms are words, and where they are runs of letters.
WORDS_COVERAGE = 0.35
LETTERS_COVERAGE = 0.46
STEEPNESS = 18.0
# What a name of the question that its passage does not say takes off: in English, and where it may be inflected or
# another language's word, or is looked for by words alone.
UNSAID_NAME = 0.25
OTHER_UNSAID_NAME = 0.1


@dataclass(frozen=True, slots=True)
class QuoteSource:
    """Where a passage stands: its document, the title of that, the headings above it."""

    document: str
    title: str
    headings: str


@dataclass(frozen=True, slots=True)
class QuoteQuestion:
    """A question, and the sentences (n, of p passages in rank order) that may answer it.

    cosines: float32 [n], each sentence's with the question; [0] when the question was not embedded.
    passage: int32 [n], each sentence's passage. passage_scores: float32 [p, 2], cosine and BM25, NaN if missing.
    trust: 0 to 1, how far the embedder speaks the question's language; None for one that speaks English.
    sources: each passage's, or none.
    """

    text: str
    sentences: Sequence[str]
    cosines: Floats
    passage: npt.NDArray[np.int32]
    passage_scores: Floats
    max_sentences: int
    trust: float | None = None
    sources: Sequence[QuoteSource] = ()


@dataclass(frozen=True, slots=True)
class QuoteChoice:
    """The chosen sentences' numbers and scores in the order to be quoted; confidence 0..1; terms read and written."""

    chosen: list[tuple[int, float]]
    confidence: float
    tokens_read: int
    tokens_written: int


@dataclass(frozen=True, slots=True)
class SentenceTerms:
    """A sentence's terms, and their beginnings for near matches."""

    terms: frozenset[str]
    prefixes: frozenset[str]
    length: int

    def credit(self, term: str) -> float:
        """1 where the sentence has the term, half where it has a word with the same beginning."""
        if term in self.terms:
            return 1.0
        return PREFIX_CREDIT if len(term) >= PREFIX and term[:PREFIX] in self.prefixes else 0.0


@lru_cache(maxsize=4096)
def sentence(text: str) -> SentenceTerms:
    """The sentence's terms; remembered, since popular passages come again with each question."""
    found = terms(text)
    own = frozenset(found)
    return SentenceTerms(own, frozenset(term[:PREFIX] for term in own if len(term) >= PREFIX), len(found))


@dataclass(frozen=True, slots=True)
class _Scored:
    """Some sentences of a question, by their places among those that are read: terms, what each says for itself
    (`own`), with what stands around it (`plain`), and with what its figures count (`scores`). credit: float32 [n,
    terms] of the question's `content` terms; lexical: each one's share of them."""

    sentences: Sequence[SentenceTerms]
    passage: npt.NDArray[np.int32]
    trust: float
    content: npt.NDArray[np.bool_]
    credit: Floats
    lexical: Floats
    own: Floats
    plain: Floats
    scores: Floats


def sentence_scores(question: QuoteQuestion) -> Floats:
    """float32 [n]: how much each sentence of all passages has of an answer."""
    if not question.sentences:
        return np.zeros(0, dtype=np.float32)
    asked = question_terms(question.text)
    sentences = [sentence(text) for text in question.sentences]
    return _scored(question, asked, np.arange(len(sentences)), sentences).scores


def choose(question: QuoteQuestion, threshold: float) -> QuoteChoice:
    """The best sentence and those that add to it, best first, or none when the confidence is below the threshold."""
    read = np.flatnonzero(question.passage < PASSAGES_READ)
    sentences = [sentence(question.sentences[number]) for number in read]
    asked = question_terms(question.text)
    tokens = len(asked) + sum(item.length for item in sentences)
    if not sentences:
        return QuoteChoice([], 0.0, tokens, 0)
    found = _scored(question, asked, read, sentences)
    passage, own, plain, scores = found.passage, found.own, found.plain, found.scores
    unsaid = _unsaid_name(question, asked, sentences, passage, int(own.argmax()))
    covered = _coverage(found.credit[:, found.content], passage) - _least_coverage(question.text)
    confidence = _confidence(found.trust, own, covered, unsaid)
    best = int(scores.argmax())
    rivals = _rivals(best, sentences, [question.sources[number].document for number in passage if question.sources])
    if any(plain[place] >= RIVAL_SHARE * plain[best] for place in rivals):
        confidence *= RIVAL_CONFIDENCE
    if confidence < threshold:
        return QuoteChoice([], confidence, tokens, 0)
    scores[rivals] = 0
    order = _adding(scores, found.lexical, passage, sentences, question.max_sentences)
    chosen = [(int(read[place]), float(scores[place])) for place in order]
    return QuoteChoice(chosen, confidence, tokens, sum(sentences[place].length for place in order))


def _scored(
    question: QuoteQuestion, asked: Sequence[str], read: npt.NDArray[np.int64], sentences: Sequence[SentenceTerms]
) -> _Scored:
    """The `sentences`, of which `read` are the numbers."""
    embedded = question.cosines.size > 0
    trust = _trust(question) if embedded else 0.0
    passage = question.passage[read]
    credit = _credits(asked, sentences)
    echoes = _echoes(question, read, credit)
    content = _content(asked, language_of(question.text))
    weights = np.where(content, _weights(asked, sentences), np.float32(0))
    lexical = credit @ weights
    if question.sources:
        titled = _credits(asked, [sentence(source.title) for source in question.sources])[passage]
        headed = _credits(asked, [sentence(source.headings) for source in question.sources])[passage]
        credit = np.maximum(credit, HEADING_CREDIT * headed)
        lexical = _share(credit, weights, titled)
    own = lexical.copy()
    if embedded:
        own += np.float32(trust) * question.cosines[read]
    plain: Floats = own + NEIGHBOUR_CREDIT * _context(credit, weights, passage)
    plain += PASSAGE_WEIGHT * _standing(question.passage_scores, trust)[passage]
    scores: Floats = plain + _figures(question, read, trust)
    own[echoes] = scores[echoes] = 0
    return _Scored(sentences, passage, trust, content, credit, lexical, own, plain, scores)


def _content(asked: Sequence[str], language: str) -> npt.NDArray[np.bool_]:
    """bool [terms]: which are no function words of the language; all where there are no others."""
    function = ENGLISH_AMOUNT if language == ENGLISH else function_terms(language)
    content = np.array([term not in function for term in asked], dtype=np.bool_)
    return content if content.any() else ~content


def _figures(question: QuoteQuestion, read: npt.NDArray[np.int64], trust: float) -> Floats:
    """float32 [n]: what each sentence's figures count."""
    if not asks_amount(question.text):
        return np.zeros(len(read), dtype=np.float32)
    credit = WORDS_FIGURE_CREDIT + trust * (FIGURE_CREDIT - WORDS_FIGURE_CREDIT)
    texts = [question.sentences[number] for number in read]
    counted = [has_figure(text) + DEFAULT_SHARE * names_default(text) for text in texts]
    return np.float32(credit) * np.array(counted, dtype=np.float32)


def _trust(question: QuoteQuestion) -> float:
    return latin_share(question.text) if question.trust is None else question.trust


def _echoes(question: QuoteQuestion, read: npt.NDArray[np.int64], credit: Floats) -> list[int]:
    """Those of the sentences that are code with the question itself in it, such as a command that asks it: no answers.
    Words without a question mark may well be what code is looked for by."""
    asked = " ".join(question.text.lower().split())
    if not asked.endswith(("?", "？")):
        return []
    whole = np.flatnonzero((credit >= 1).all(axis=1)).tolist()
    texts = [question.sentences[read[place]] for place in whole]
    return [place for place, text in zip(whole, texts, strict=True) if FENCE in text and asked in text.lower()]


def _adding(
    scores: Floats, lexical: Floats, passage: npt.NDArray[np.int32], sentences: Sequence[SentenceTerms], most: int
) -> list[int]:
    """The best sentence, and those behind it, in their order and `most` in all, that come near it, say something that
    is not yet said, and are about what was asked: of its passage, or nearer still and with its share of the question's
    words."""
    best, *others = np.argsort(-scores, kind="stable")[: most + FURTHER_LOOKED_AT].tolist()
    chosen = [best]
    said = set(sentences[best].terms)
    for place in others:
        if len(chosen) >= most or scores[place] < FURTHER_SHARE * scores[best]:
            break
        apart = passage[place] != passage[best] and (
            scores[place] < APART_SHARE * scores[best] or lexical[place] < FURTHER_WORDS * lexical[best]
        )
        if not apart and not sentences[place].terms <= said:
            chosen.append(place)
            said |= sentences[place].terms
    return chosen


def _share(credit: Floats, weights: Floats, titled: Floats) -> Floats:
    """float32 [n]: each sentence's share of the question, of which what its title says and it does not counts less."""
    said_above = (titled >= 1) & (credit < 1)
    counted = np.where(said_above, np.float32(TITLE_SHARE), np.float32(1)) * weights
    return (credit * counted).sum(axis=1) / np.maximum(counted.sum(axis=1), np.float32(1e-9))  # type: ignore[no-any-return]


def _rivals(best: int, sentences: Sequence[SentenceTerms], documents: Sequence[str]) -> list[int]:
    """The sentences of other documents that say the same as the best one, in other words for a few: of something else.
    None where the documents are not known."""
    own = sentences[best].terms
    return [
        place
        for place, (document, other) in enumerate(zip(documents, sentences, strict=False))
        if document != documents[best]
        and other.terms != own
        and RIVAL_WORDS * len(own | other.terms) <= len(own & other.terms)
    ]


def _coverage(credit: Floats, passage: npt.NDArray[np.int32]) -> float:
    """0..1, the largest share of the question's terms that one passage has in all its sentences."""
    if not credit.size:
        return 0.0
    begins = np.flatnonzero(passage[1:] != passage[:-1]) + 1
    best = np.maximum.reduceat(credit, [0, *begins.tolist()])
    return float(best.sum(axis=1).max()) / credit.shape[1]


def _least_coverage(text: str) -> float:
    return LETTERS_COVERAGE if has_cjk(text) or any(map(is_unspaced, text)) else WORDS_COVERAGE


def _unsaid_name(
    question: QuoteQuestion,
    asked: Sequence[str],
    sentences: Sequence[SentenceTerms],
    passage: npt.NDArray[np.int32],
    best: int,
) -> float:
    """What is taken off for a name of the question that neither the passage of the best sentence has nor what stands
    above it."""
    wanted = [term for term in dict.fromkeys(chain.from_iterable(map(terms, names(question.text)))) if term in asked]
    if not wanted:
        return 0.0
    own = [sentences[place] for place in np.flatnonzero(passage == passage[best])]
    if question.sources:
        source = question.sources[passage[best]]
        own += map(sentence, (source.document, source.title, source.headings))
    english = question.cosines.size and language_of(question.text) in (ENGLISH, UNKNOWN)
    return (UNSAID_NAME if english else OTHER_UNSAID_NAME) * (1 - float(_credits(wanted, own).max(axis=0).min()))


def _confidence(trust: float, own: Floats, covered: float, unsaid: float) -> float:
    excess = trust * (float(own.max()) - LATIN_EVIDENCE) + (1 - trust) * covered
    excess -= unsaid
    return 1 / (1 + math.exp(-STEEPNESS * excess))


def _context(credit: Floats, weights: Floats, passage: npt.NDArray[np.int32]) -> Floats:
    """float32 [n]: the weight of the terms that the sentence before has and this one lacks."""
    before = np.zeros(len(credit), dtype=np.float32)
    gained = np.maximum(credit[:-1] - credit[1:], 0) @ weights
    before[1:] = np.where(passage[1:] == passage[:-1], gained, 0)
    return before


def _standing(scores: Floats, trust: float) -> Floats:
    """float32 [p]: each passage's fused score, relative to the best."""
    dense, lexical = scores[:, 0], np.where(np.isnan(scores[:, 1]), np.float32(0), scores[:, 1])
    least = float(np.fmin.reduce(dense))
    floor = np.float32(0 if math.isnan(least) else least)
    best = float(lexical.max()) or 1.0
    fused = trust * np.where(np.isnan(dense), floor, dense) + LEXICAL_WEIGHT * lexical / best
    top = float(fused.max())
    return (fused / top if top > 0 else np.zeros_like(fused)).astype(np.float32)


def _credits(asked: Sequence[str], sentences: Sequence[SentenceTerms]) -> Floats:
    """float32 [n, terms]."""
    rows = [[item.credit(term) for term in asked] for item in sentences]
    return np.array(rows, dtype=np.float32).reshape(len(sentences), len(asked))


def _weights(asked: Sequence[str], sentences: Sequence[SentenceTerms]) -> Floats:
    """float32 [terms]: the terms' shares of the question: the rarer among these sentences, the larger."""
    count = len(sentences)
    rarity = [math.log(1 + count / (1 + sum(term in own.terms for own in sentences))) for term in asked]
    weights = np.array(rarity, dtype=np.float32) ** RARITY_POWER
    shares: Floats = weights / max(float(weights.sum()), 1e-9)
    return shares
