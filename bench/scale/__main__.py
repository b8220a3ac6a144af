"""A large collection: how fast it is written, what it takes, and how long searches take before and after its index is
built; with --access what access lists cost a search. Vectors are made up, so that the figures are the service's and the
store's own."""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from bench.ingest.passages import passages
from bench.kit.command import Say, execute, parser, positive
from bench.kit.figures import Latencies, share
from bench.kit.harness import Case, Figures, Results, Side, alternate
from bench.kit.report import Extra, Report
from bench.load.worker import Worker
from bench.scale import access
from bench.scale.collection import CPU, FOUND, P50, P99, PER_DOCUMENT, SEED, Client, Held, Question, questions
from bench.scale.service import Service, vector_of
from bench.xquad import corpus as xquad
from services.retrieval.store.qdrant_edge import INDEX_FROM

COLLECTION = "scale"
OWN, PEER = "retrieval", "numpy, vectors alone"
LISTED, GROUPS = 10, 20
CALLERS = (1, 8)
PASSAGES, ACCESS_PASSAGES = 200_000, 20_000
EXAMPLES = """\
  python -m bench.scale
  python -m bench.scale --passages 20000 --searches 100
  python -m bench.scale --access --rounds 7 --strict
  python -m bench.scale --json scale.json"""


class Exact:
    """The peer: the same vectors in one array, each compared, in one process; no words, no filter, no texts."""

    def __init__(self, held: Held, say: Say) -> None:
        say("numpy: making the same vectors")
        self._vectors = np.stack([vector_of(held.passage(number)) for number in range(len(held.texts))])
        self._held = held

    def search(self, asked: Sequence[Question]) -> Figures:
        seconds, found = [], []
        for question in asked:
            query = vector_of(question.text)
            started = time.perf_counter()
            scores = self._vectors @ query
            best = np.argpartition(scores, -10)[-10:]
            first = int(best[np.argmax(scores[best])])
            seconds.append(time.perf_counter() - started)
            found.append(question.wanted in self._held.passage(first))
        taken = Latencies.of(seconds)
        return {P50: taken.p50, P99: taken.p99, FOUND: share(found)}


def measure(options: argparse.Namespace, say: Say) -> Report:
    """Start the service and measure what is asked for. Raises BenchError."""
    corpus = xquad.load(options.data, "en")
    count = options.passages or (ACCESS_PASSAGES if options.access else PASSAGES)
    say(f"making {count:,} passages")
    texts = passages(corpus, count)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headworks-bench-", dir=options.folder)))
        service = stack.enter_context(Worker(partial(Service, folder)))
        if options.access:
            return access.measure(Client(service), texts, options.searches, options.rounds, say)
        return _measure_size(service, Held(texts, COLLECTION, LISTED, GROUPS), options, say)


def _measure_size(service: Worker[Service], held: Held, options: argparse.Namespace, say: Say) -> Report:
    """Fill a collection, search, wait for the index, search again."""
    kinds, client = _questions(held, options.searches), Client(service)
    seconds = asyncio.run(client.ingest(held, say))
    ended = time.perf_counter()
    say(f"written in {seconds:.0f} s; searching before there is an index")
    before = [(f"before the index: {name}, 1 at once", _search(client, asked[: len(asked) // 4 or 1], 1))
              for name, asked in kinds.items()]  # fmt: skip
    built = client.built(COLLECTION, ended, say) if len(held.texts) >= INDEX_FROM else 0.0
    exact = Exact(held, say)
    cases = [
        Case(
            f"{name}, {callers} at once",
            [
                Side(OWN, partial(_search, client, asked, callers)),
                *([Side(PEER, partial(exact.search, asked), peer=True)] if callers == 1 else []),
            ],
        )
        for name, asked in kinds.items()
        for callers in CALLERS
    ]
    results: Results = alternate(cases, options.rounds, say)
    facts = {
        "passages/s written, without embedding": len(held.texts) / seconds,
        "seconds until the index was built": built,
        "MiB held (PSS)": service.call(Service.memory),
        "MiB on disk": service.call(Service.disk),
    }
    return Report(
        title=f"{len(held.texts):,} passages in one collection",
        cases=cases,
        results=results,
        goals=[],
        rounds=options.rounds,
        extras=[
            Extra("writing", ["figure", ""], [(name, [value]) for name, value in facts.items()]),
            Extra("while vectors are compared one by one", ["case", P50, P99, CPU, FOUND],
                  [(name, list(figures.values())) for name, figures in before]),
        ],
        notes=[
            "vectors are made up (the mean of words' vectors by chance): neither side waits for a model.",
            f"{PER_DOCUMENT} passages a document; a tenth of the documents may be read by one of {GROUPS} groups each.",
            f"{PEER}: compares each vector in one process; it has no words, filter or texts, and is no service.",
        ],
        facts={"figures": facts},
    )  # fmt: skip


def _search(client: Client, asked: Sequence[Question], callers: int) -> Figures:
    return asyncio.run(client.search(COLLECTION, asked, callers))


def _questions(held: Held, count: int) -> dict[str, list[Question]]:
    """So many of each kind, about passages that all may read, and of those that one group may."""
    chance = random.Random(SEED)
    open_to_all = [number for number in range(len(held.texts)) if not held.group(number)]
    listed = [number for number in range(len(held.texts)) if held.group(number)]
    return {
        "words": questions(held, open_to_all, lambda number: held.words(number, chance), count, chance),
        "a number": questions(held, open_to_all, held.about, count, chance),
        "a number, of a group": questions(held, listed, held.about, count, chance),
    }


def _options() -> argparse.Namespace:
    made = parser("scale", __doc__ or "", EXAMPLES, rounds=3, mesh=False)
    made.add_argument(
        "--passages", type=positive, metavar="N", help=f"how many ({PASSAGES}; with --access {ACCESS_PASSAGES})"
    )
    made.add_argument("--searches", type=positive, default=200, metavar="N", help="of each kind, each round (200)")
    made.add_argument(
        "--access", action="store_true", help="what access lists cost: callers of no, one and 50 groups, in turn"
    )
    made.add_argument("--folder", type=Path, help="where the collection is written; by default the temporary folder")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(execute(_options(), measure))
