"""Verdicts as figures: by part, language, kind of question and kind of document."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bench.documents.asking import Asked
from bench.documents.judge import Verdict
from bench.kit.figures import Bound, Goal, share
from bench.kit.report import Extra

TUNED, HELD = "tuned", "held apart"
QUESTIONS, HIT1, HIT3, FIRST_PASSAGE = "questions", "hit@1", "hit@3", "in first passage"
FIRST_QUOTE, QUOTES, SECOND_WRONG, DECLINED = "in first quote", "in a quote", "second wrong", "declined"
SHOWN_PASSAGES = 3

FIGURES: Mapping[str, Callable[[Verdict], bool]] = {
    HIT1: lambda verdict: verdict.rank == 1,
    HIT3: lambda verdict: 1 <= verdict.rank <= 3,
    FIRST_PASSAGE: lambda verdict: verdict.first_passage,
    FIRST_QUOTE: lambda verdict: verdict.first_quote,
    QUOTES: lambda verdict: verdict.any_quote,
    SECOND_WRONG: lambda verdict: verdict.second_wrong,
    DECLINED: lambda verdict: verdict.declined,
}
# What the part that is held apart has to reach.
LIMITS = (
    (HIT1, Bound.AT_LEAST, 0.85),
    (HIT3, Bound.AT_LEAST, 0.95),
    (QUOTES, Bound.AT_LEAST, 0.80),
    (SECOND_WRONG, Bound.AT_MOST, 0.10),
    (DECLINED, Bound.AT_MOST, 0.05),
)
RIGHT_DECLINES = 0.85


def figures(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """The share of the verdicts for which each figure is true."""
    return {name: share([true(verdict) for verdict in verdicts]) for name, true in FIGURES.items()}


def parts(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    """Those on questions that may be tuned on, and those held apart."""
    return {
        TUNED: [verdict for verdict in verdicts if not verdict.question.held],
        HELD: [verdict for verdict in verdicts if verdict.question.held],
    }


def tables(verdicts: Sequence[Verdict], kinds: Mapping[str, str]) -> list[Extra]:
    """One a part; a row a group. `kinds` are those of the documents by their ids."""
    return [
        Extra(f"questions that the corpus answers, {part}", ("of", QUESTIONS, *FIGURES), list(_rows(own, kinds)))
        for part, own in parts(verdicts).items()
    ]


def _rows(verdicts: Sequence[Verdict], kinds: Mapping[str, str]) -> Iterator[tuple[str, list[float]]]:
    groups: dict[str, list[Verdict]] = {"all": list(verdicts)}
    for verdict in verdicts:
        question = verdict.question
        kind = next(kinds[document] for document in question.documents if document in kinds)
        for name in (question.language, f"asks for: {question.kind}", f"in: {kind}"):
            groups.setdefault(name, []).append(verdict)
    for name in sorted(groups, key=lambda name: (name != "all", len(name) > len("en"), name)):
        yield name, [float(len(groups[name])), *figures(groups[name]).values()]


def declines(verdicts: Sequence[Verdict]) -> Extra:
    """Of questions that the corpus does not answer."""
    rows = [
        (part, [float(len(own)), share([verdict.declined for verdict in own])]) for part, own in parts(verdicts).items()
    ]
    return Extra("questions that it does not answer", ("part", QUESTIONS, DECLINED), rows)


def goals(answered: Sequence[Verdict], unanswered: Sequence[Verdict]) -> list[Goal]:
    """On what is held apart."""
    reached = figures(parts(answered)[HELD])
    declined = share([verdict.declined for verdict in parts(unanswered)[HELD]])
    return [
        *(Goal(f"{HELD}: {name}", reached[name], bound, limit) for name, bound, limit in LIMITS),
        Goal(f"{HELD}: {DECLINED}, not answered there", declined, Bound.AT_LEAST, RIGHT_DECLINES),
    ]


def detail(asked: Asked) -> dict[str, Any]:
    """One question's result, for people."""
    verdict, question = asked.verdict, asked.verdict.question
    return {
        "question": question.text,
        "language": question.language,
        "kind": question.kind,
        "held": question.held,
        "documents": question.documents,
        "answers": question.answers,
        "rank": verdict.rank,
        "quoted": verdict.any_quote,
        "second_wrong": verdict.second_wrong,
        "declined": verdict.declined,
        "found": [
            {"document": passage.document_id, "headings": passage.headings, "text": passage.text}
            for passage in asked.found[:SHOWN_PASSAGES]
        ],
        "quotes": [{"document": quote.document_id, "text": quote.text} for quote in asked.run.citations],
    }
