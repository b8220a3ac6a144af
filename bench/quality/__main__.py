"""How good search and answers are on XQuAD, through the edge, beside each signal of the search alone."""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from statistics import median
from typing import TypeVar

from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from bench.kit import BenchError
from bench.kit.command import Say, execute, parser, positive
from bench.kit.figures import Bound, Goal, share
from bench.kit.harness import Case, Figures, Results, Side, alternate
from bench.kit.mesh import Mesh, running
from bench.kit.report import Report
from bench.load import models, rpc
from bench.load.turns import in_turn
from bench.xquad import corpus as xquad
from bench.xquad.corpus import Corpus, Paragraph, Question
from services.runtime.embedders import EMBEDDERS

T = TypeVar("T")

HYBRID, DENSE, LEXICAL, RERANKED = "hybrid", "dense only", "BM25 only", "hybrid, reranked"
MODES = {HYBRID: pb.SEARCH_MODE_HYBRID, DENSE: pb.SEARCH_MODE_DENSE, LEXICAL: pb.SEARCH_MODE_LEXICAL}
HIT1, HIT3, MS = "hit@1", "hit@3", "ms a search"
FIRST, FIRST_TWO, DECLINED_ALL = "answer in first quote", "answer in first two", "declined"
MISSING, THERE = "declined, article missing", "declined, article there"
SEARCH, HALVES = "search and answers", "half of the articles"
LANGUAGES = {
    "en": "English", "zh": "Chinese", "de": "German", "es": "Spanish", "ru": "Russian",
    "ar": "Arabic", "hi": "Hindi", "th": "Thai", "vi": "Vietnamese",
}  # fmt: skip
SENTENCES = 2
Goals = tuple[tuple[str, str, str, Bound, float], ...]
ENGLISH_GOALS: Goals = (
    ("en", SEARCH, HIT1, Bound.AT_LEAST, 0.94),
    ("en", SEARCH, HIT3, Bound.AT_LEAST, 0.985),
    ("en", SEARCH, FIRST, Bound.AT_LEAST, 0.78),
    ("en", SEARCH, FIRST_TWO, Bound.AT_LEAST, 0.87),
    ("zh", SEARCH, HIT1, Bound.AT_LEAST, 0.93),
    ("en", HALVES, MISSING, Bound.AT_LEAST, 0.8),
    ("en", HALVES, THERE, Bound.AT_MOST, 0.1),
)
SPOKEN_GOALS: Goals = (
    *((language, SEARCH, HIT1, Bound.AT_LEAST, 0.95) for language in ("de", "es", "ru")),
    *((language, SEARCH, HIT1, Bound.AT_LEAST, 0.90) for language in ("ar", "hi", "th", "vi")),
    *((language, HALVES, THERE, Bound.AT_MOST, 0.06) for language in LANGUAGES),
)
EXAMPLES = """\
  python -m bench.quality
  python -m bench.quality --languages en --concurrency 4 --json quality.json
  python -m bench.quality --languages de hi --embedder multilingual-e5-small
  python -m bench.quality --languages en --rerank 20 --concurrency 1
  python -m bench.quality --mesh .headworks"""


class Quality:
    """Asks one language's questions of a mesh, so many at once."""

    def __init__(self, mesh: Mesh, corpus: Corpus, concurrency: int, embedder: str = "") -> None:
        self._mesh = mesh
        self._embedder = embedder
        self._corpus = corpus
        self._concurrency = concurrency

    def search(self, mode: pb.SearchMode.ValueType) -> Figures:
        """Hits by one kind of search; with hybrid search, the answers of runs too."""
        return asyncio.run(self._search(mode))

    def reranked(self, rerank: int) -> Figures:
        """Hits by hybrid search, of which so many are reranked."""
        return asyncio.run(self._reranked(rerank))

    def halves(self) -> Figures:
        """What is declined where half of the articles are there; each half in turn."""
        return asyncio.run(self._halves())

    async def _search(self, mode: pb.SearchMode.ValueType) -> Figures:
        collection = f"bench-quality-{self._corpus.language}"
        async with rpc.client(self._mesh) as client:
            await fill(client, collection, self._corpus.paragraphs, self._embedder)
            figures = await self._hits(client, collection, mode)
            if mode == pb.SEARCH_MODE_HYBRID:
                figures = {**figures, **await self._answers(client, collection)}
            await client.drop(collection)
        return figures

    async def _reranked(self, rerank: int) -> Figures:
        collection = f"bench-quality-{self._corpus.language}"
        async with rpc.client(self._mesh) as client:
            await fill(client, collection, self._corpus.paragraphs, self._embedder)
            figures = await self._hits(client, collection, pb.SEARCH_MODE_HYBRID, rerank)
            await client.drop(collection)
        return figures

    async def _hits(
        self, client: rpc.MeshClient, collection: str, mode: pb.SearchMode.ValueType, rerank: int = 0
    ) -> dict[str, float]:
        async def places(question: Question) -> tuple[bool, bool, float]:
            started = time.perf_counter()
            passages = await client.search(collection, question.text, mode, 3, rerank)
            took = time.perf_counter() - started
            found = [passage.document_id for passage in passages]
            return question.paragraph.id in found[:1], question.paragraph.id in found, 1000 * took

        placed = await self._all(places)
        return {
            HIT1: share([first for first, _, _ in placed]),
            HIT3: share([three for _, three, _ in placed]),
            MS: median(took for _, _, took in placed),
        }

    async def _answers(self, client: rpc.MeshClient, collection: str) -> dict[str, float]:
        runs = await self._all(lambda question: client.ask(collection, question.text, SENTENCES))
        asked = list(zip(self._corpus.questions, runs, strict=True))
        return {
            FIRST: share([holds(question, run, 1) for question, run in asked]),
            FIRST_TWO: share([holds(question, run, SENTENCES) for question, run in asked]),
            DECLINED_ALL: share([run.declined for run in runs]),
        }

    async def _halves(self) -> Figures:
        missing: list[bool] = []
        there: list[bool] = []
        async with rpc.client(self._mesh) as client:
            for half in (0, 1):
                collection = f"bench-quality-{self._corpus.language}-{half}"
                held = [paragraph for paragraph in self._corpus.paragraphs if paragraph.article % 2 == half]
                await fill(client, collection, held, self._embedder)
                runs = await self._all(partial(_ask, client, collection))
                for question, run in zip(self._corpus.questions, runs, strict=True):
                    (there if question.paragraph.article % 2 == half else missing).append(run.declined)
                await client.drop(collection)
        return {MISSING: share(missing), THERE: share(there)}

    async def _all(self, ask: Callable[[Question], Awaitable[T]]) -> list[T]:
        """Every question's result, in order."""
        return await in_turn(self._corpus.questions, ask, self._concurrency)


async def _ask(client: rpc.MeshClient, collection: str, question: Question) -> rpc.RunAnswer:
    return await client.ask(collection, question.text, SENTENCES)


async def fill(client: rpc.MeshClient, collection: str, paragraphs: Sequence[Paragraph], embedder: str = "") -> None:
    """One document and one passage a paragraph, and nothing else, by that embedder. Raises BenchError."""
    await client.replace(collection, embedder=embedder)
    summary = await client.ingest(collection, [rpc.Document(paragraph.id, paragraph.text) for paragraph in paragraphs])
    if summary.passages != len(paragraphs):
        raise BenchError(f"{len(paragraphs)} paragraphs became {summary.passages} passages")


def holds(question: Question, run: rpc.RunAnswer, quotes: int) -> bool:
    """Whether one of the first quotes holds a text that answers."""
    return any(answer in quote for quote in run.quotes[:quotes] for answer in question.answers)


def measure(options: argparse.Namespace, say: Say) -> Report:
    """Start a mesh, ask it everything, stop it. Raises BenchError."""
    corpora = [xquad.load(options.data, language) for language in options.languages]
    with running(options.mesh, say, models.mesh_config(options)) as mesh:
        qualities = [(Quality(mesh, corpus, options.concurrency, options.embedder), corpus) for corpus in corpora]
        cases = [case for quality, corpus in qualities for case in _cases(quality, corpus, options.rerank)]
        results = alternate(cases, options.rounds, say)
        restarts = dict(mesh.restarts)
    return Report(
        title="quality on XQuAD",
        cases=cases,
        results=results,
        goals=_goals(results, SPOKEN_GOALS if _speaks_all(options.embedder) else ENGLISH_GOALS),
        rounds=options.rounds,
        notes=[
            *(
                f"{LANGUAGES[corpus.language]}: {len(corpus.paragraphs)} paragraphs, {len(corpus.questions)} questions."
                for corpus in corpora
            ),
            *([f"restarted meanwhile: {restarts}"] if restarts else []),
        ],
        facts={
            "corpora": {
                corpus.language: {"paragraphs": len(corpus.paragraphs), "questions": len(corpus.questions)}
                for corpus in corpora
            },
            "restarts": restarts,
            **models.facts(options),
        },
    )


def _cases(quality: Quality, corpus: Corpus, rerank: int) -> list[Case]:
    sides = [Side(name, partial(quality.search, mode), peer=name != HYBRID) for name, mode in MODES.items()]
    if rerank:
        sides.append(Side(RERANKED, partial(quality.reranked, rerank)))
    language = LANGUAGES[corpus.language]
    return [Case(f"{language}, {SEARCH}", sides), Case(f"{language}, {HALVES}", [Side(HYBRID, quality.halves)])]


def _speaks_all(embedder: str) -> bool:
    return bool(embedder) and not EMBEDDERS[embedder].languages


def _goals(results: Results, limits: Goals) -> list[Goal]:
    return [
        Goal(f"{LANGUAGES[language]}: {name}", results[case][HYBRID][name].median, bound, limit)
        for language, kind, name, bound, limit in limits
        if (case := f"{LANGUAGES[language]}, {kind}") in results
    ]


def _options() -> argparse.Namespace:
    made = parser("quality", __doc__ or "", EXAMPLES, rounds=1)
    made.add_argument("--languages", nargs="+", choices=list(LANGUAGES), default=["en", "zh"], help="en zh")
    models.add_options(made)
    made.add_argument("--concurrency", type=positive, default=8, metavar="N", help="questions asked at once (8)")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(execute(_options(), measure))
