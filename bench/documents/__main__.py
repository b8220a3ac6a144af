"""How good search and quotes are on manuals as Debian ships them, through the edge: HTML, man pages, PDFs and text in
English, German and Chinese, with questions as people ask them."""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.documents import codes, compression, corpus, manuals, questions, results, small
from bench.documents.asking import Asked, Filled, ask_all, fill
from bench.documents.corpus import Document
from bench.documents.packages import CACHE, Packages
from bench.documents.questions import Question
from bench.ingest.passages import passages
from bench.kit import BenchError
from bench.kit.command import Say, execute, parser, positive
from bench.kit.figures import Bound, Goal
from bench.kit.mesh import Mesh, running
from bench.kit.report import Extra, Report
from bench.load import models, rpc
from bench.xquad import corpus as xquad

DOCUMENTS = "documents"
SETS = (DOCUMENTS, small.MANUALS, small.TABLES, small.CODES)
COLLECTION = "bench-documents"
# No more than so many of the questions may have lost their answer.
MOST_GONE = 0.1
CODES_AMONG = 21_000
NOTES = (
    "hit@k: one of the first k passages is of a document that answers, and holds the answer. In first passage: the "
    "first holds it, of whatever document.",
    "In a quote: one of the run's quotes is of a document that answers, and holds the answer. Declined: of questions "
    "that the corpus answers it is false.",
    "Embedder and reranker: of the documents; runs rerank only where the agent's spec says so, and `rag`'s does not.",
    "Second wrong: a second quote is given that holds no answer and is from another document or section than each "
    "passage that answers; of all questions.",
    "Held apart: a third of the questions, by a hash of their text; nothing is tuned on it.",
)
EXAMPLES = """\
  python -m bench.documents
  python -m bench.documents --set documents --details details.jsonl
  python -m bench.documents --set documents --embedder multilingual-e5-small
  python -m bench.documents --set manuals tables --mesh .headworks"""


@dataclass
class Outcome:
    """What a run of the benchmark found, set by set."""

    extras: list[Extra] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The corpus and the questions whose answers stand in it."""

    documents: Sequence[Document]
    answered: Sequence[Question]
    unanswered: Sequence[Question]
    gone: Sequence[Question]


def prepare(options: argparse.Namespace, say: Say) -> Prepared:
    """Fetch and read everything. Raises BenchError, also where too many answers are gone."""
    documents = corpus.load(corpus.selection(), Packages(options.cache), say)
    asked = questions.answered()
    needed = {document for question in asked for document in question.documents}
    texts = {document.id: corpus.plain_text(document) for document in documents if document.id in needed}
    there, gone = questions.present(asked, texts)
    for question in gone:
        say(f"left out, the answer is gone: {question.text} ({', '.join(question.documents)})")
    if len(gone) > MOST_GONE * len(asked):
        raise BenchError(f"the answers of {len(gone)} of {len(asked)} questions are no longer in the corpus")
    return Prepared(documents, there, questions.unanswered(), gone)


async def measure_documents(mesh: Mesh, prepared: Prepared, options: argparse.Namespace, say: Say) -> Outcome:
    """The corpus, and all questions on it."""
    sent = [rpc.Document(document.id, document.content, document.media_type) for document in prepared.documents]
    async with rpc.client(mesh) as client:
        filled = await fill(client, COLLECTION, sent, say, embedder=options.embedder)
        say(f"asking {len(prepared.answered) + len(prepared.unanswered)} questions")
        answered = await ask_all(client, COLLECTION, prepared.answered, options.concurrency, options.rerank)
        unanswered = await ask_all(client, COLLECTION, prepared.unanswered, options.concurrency, options.rerank)
        compressed = [
            await compression.measure(client, COLLECTION, part, options.concurrency)
            for part in (
                [one for one in prepared.answered if not one.held],
                [one for one in prepared.answered if one.held],
            )
        ]
        await client.drop(COLLECTION)
    if options.details:
        _write(options.details, [*answered, *unanswered], options.held)
    outcome = _documents_outcome(prepared, filled, answered, unanswered)
    outcome.extras += [
        replace(extra, title=f"{extra.title}, {part}")
        for extra, part in zip(compressed, (results.TUNED, results.HELD), strict=True)
    ]
    return outcome


def _documents_outcome(
    prepared: Prepared, filled: Filled, answered: Sequence[Asked], unanswered: Sequence[Asked]
) -> Outcome:
    verdicts, refused = [one.verdict for one in answered], [one.verdict for one in unanswered]
    kinds = {document.id: document.kind for document in prepared.documents}
    read = len(prepared.documents) - len(filled.failures)
    failed = [f"not ingested: {document}: {message}" for document, message in filled.failures.items()]
    return Outcome(
        extras=[*results.tables(verdicts, kinds), results.declines(refused)],
        goals=results.goals(verdicts, refused),
        notes=[
            f"{read} documents, {filled.passages:,} passages; {len(prepared.gone)} answers are gone.",
            *failed,
            *NOTES,
        ],
        facts={"documents": read, "passages": filled.passages, "failed": filled.failures, "gone": len(prepared.gone)},
    )


def _write(file: Path, asked: Sequence[Asked], held: bool) -> None:
    """As lines of JSON; what is held apart only where that is asked for."""
    lines = [
        json.dumps(results.detail(one), ensure_ascii=False) for one in asked if held or not one.verdict.question.held
    ]
    file.write_text("".join(line + "\n" for line in lines), "utf-8")


async def measure_small(mesh: Mesh, name: str, texts: Sequence[str], options: argparse.Namespace, say: Say) -> Outcome:
    """One of the small sets: how many of its questions go right."""
    collection = f"{COLLECTION}-{name}"
    async with rpc.client(mesh) as client:
        match name:
            case small.MANUALS:
                right = len(await small.right_manuals(client, collection, options.concurrency, say))
                goal = Goal("manuals: questions right", right, Bound.AT_LEAST, len(manuals.CYCLES))
            case small.TABLES:
                right = len(await small.right_tables(client, collection, options.concurrency, say))
                goal = Goal("tables: questions right", right, Bound.AT_LEAST, small.TABLES_RIGHT)
            case _:
                right = len(await small.right_codes(client, collection, texts, options.concurrency, say))
                goal = Goal(f"codes first among {len(texts):,} passages", right, Bound.AT_LEAST, codes.COUNT)
        await client.drop(collection)
    return Outcome(goals=[goal])


def measure(options: argparse.Namespace, say: Say) -> Report:
    """Prepare, start a mesh, ask it everything, stop it. Raises BenchError."""
    logging.getLogger("pypdf").setLevel(logging.ERROR)
    prepared = prepare(options, say) if DOCUMENTS in options.set else None
    texts = passages(xquad.load(options.data, "en"), options.passages) if small.CODES in options.set else []
    outcomes: list[Outcome] = []
    with running(options.mesh, say, models.mesh_config(options)) as mesh:
        if prepared:
            outcomes.append(asyncio.run(measure_documents(mesh, prepared, options, say)))
        chosen = [name for name in SETS[1:] if name in options.set]
        outcomes += [asyncio.run(measure_small(mesh, name, texts, options, say)) for name in chosen]
        restarts = dict(mesh.restarts)
    return Report(
        title="quality on manuals",
        cases=[],
        results={},
        goals=[goal for outcome in outcomes for goal in outcome.goals],
        rounds=1,
        extras=[extra for outcome in outcomes for extra in outcome.extras],
        notes=[
            *(note for outcome in outcomes for note in outcome.notes),
            *([f"restarted meanwhile: {restarts}"] if restarts else []),
        ],
        facts={
            "restarts": restarts,
            **models.facts(options),
            **{name: fact for outcome in outcomes for name, fact in outcome.facts.items()},
        },
    )


def _options() -> argparse.Namespace:
    made = parser("documents", __doc__ or "", EXAMPLES, rounds=1)
    made.add_argument("--set", nargs="+", choices=SETS, default=list(SETS), help="what to measure (all)")
    made.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help=f"where packages are kept ({CACHE})")
    made.add_argument("--details", type=Path, metavar="PATH", help="write each question's result there, as JSON Lines")
    made.add_argument("--held", action="store_true", help="in the details, also the questions held apart")
    made.add_argument(
        "--passages", type=positive, default=CODES_AMONG, metavar="N", help="passages that codes are among (21000)"
    )
    models.add_options(made)
    made.add_argument("--concurrency", type=positive, default=4, metavar="N", help="questions asked at once (4)")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(execute(_options(), measure))
