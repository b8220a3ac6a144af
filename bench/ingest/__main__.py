"""Ingestion through the edge, beside the same work in one Python process."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.asks.single import Single
from bench.ingest.passages import passages
from bench.kit import BenchError
from bench.kit.command import Say, execute, parser, positive
from bench.kit.figures import Bound, Goal
from bench.kit.harness import OTHERS, Case, Figures, Side, alternate
from bench.kit.machine import Meter
from bench.kit.mesh import Mesh, running
from bench.kit.report import Report
from bench.kit.resources import Costs, cost_table, processor, spent
from bench.load import rpc
from bench.load.worker import Worker
from bench.xquad import corpus as xquad

COLLECTION = "bench-ingest"
SECONDS, RATE = "seconds for all", "passages/s"
MESH, SINGLE, BARE = "mesh", "one process", "one process, no sentences"
GOAL_PASSAGES, GOAL_SECONDS = 5000, 30
EXAMPLES = """\
  python -m bench.ingest
  python -m bench.ingest --passages 1000 --rounds 1
  python -m bench.ingest --per-document 1 --json ingest.json"""


@dataclass
class MeshSide:
    """Sends the passages in one stream."""

    mesh: Mesh
    texts: Sequence[str]
    costs: dict[int, Costs] = field(default_factory=dict)

    def run(self, per_document: int) -> Figures:
        """Into an empty collection, as documents of so many passages each."""
        documents = _documents(self.texts, per_document)
        before, meter = processor(self.mesh.state), Meter()
        seconds, count = asyncio.run(self._ingest(documents))
        took = spent(before, processor(self.mesh.state))
        self.costs.setdefault(per_document, Costs()).add(took, count)
        if count != len(self.texts):
            raise BenchError(f"{len(self.texts)} passages were sent and {count} were made of them")
        return {SECONDS: seconds, RATE: count / seconds, OTHERS: meter.others(sum(took.values()))}

    async def _ingest(self, documents: Sequence[rpc.Document]) -> tuple[float, int]:
        async with rpc.client(self.mesh) as client:
            await client.replace(COLLECTION)
            started = time.perf_counter()
            summary = await client.ingest(COLLECTION, documents)
            seconds = time.perf_counter() - started
            await client.drop(COLLECTION)
        return seconds, summary.passages


def _documents(texts: Sequence[str], per_document: int) -> list[rpc.Document]:
    """Markdown with a heading above each passage, so that each becomes one; plain text where it has but one."""
    if per_document == 1:
        return [rpc.Document(f"passage-{number:05d}", text) for number, text in enumerate(texts)]
    return [
        rpc.Document(
            f"document-{first:05d}",
            "\n\n".join(
                f"## Part {number}\n\n{text}" for number, text in enumerate(texts[first : first + per_document])
            ),
            "text/markdown",
        )
        for first in range(0, len(texts), per_document)
    ]


def _ingest_single(single: Worker[Single], texts: Sequence[str], all_passages: int, with_sentences: bool) -> Figures:
    """The time for fewer passages, scaled to all."""
    single.call(Single.clear)
    meter = Meter()
    seconds = single.call(Single.ingest, {f"passage-{n:05d}": text for n, text in enumerate(texts)}, with_sentences)
    rate = len(texts) / seconds
    return {SECONDS: all_passages / rate, RATE: rate, OTHERS: meter.others(single.call(Single.processor))}


def measure(options: argparse.Namespace, say: Say) -> Report:
    """Start everything, measure, stop everything. Raises BenchError."""
    corpus = xquad.load(options.data, "en")
    texts = passages(corpus, options.passages)
    few = texts[: options.peer_passages]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headworks-bench-")))
        mesh = stack.enter_context(running(options.mesh, say))
        peers: list[Side] = []
        if options.peers:
            say("one process: loading sentence-transformers")
            single = stack.enter_context(Worker(partial(Single, folder, "float32", 0)))
            single.call(Single.clear)
            peers = [
                Side(name, partial(_ingest_single, single, few, len(texts), with_sentences), peer=True)
                for name, with_sentences in ((SINGLE, True), (BARE, False))
            ][: options.peers]
        side = MeshSide(mesh, texts)
        cases = [
            Case(
                _case(per_document),
                [Side(MESH, partial(side.run, per_document)), *peers],
            )
            for per_document in options.per_document
        ]
        results = alternate(cases, options.rounds, say)
        return Report(
            title=f"ingesting {len(texts)} passages",
            cases=cases,
            results=results,
            goals=[
                Goal(f"5,000 passages, {case.name}, s", GOAL_PASSAGES / results[case.name][MESH][RATE].median,
                     Bound.AT_MOST, GOAL_SECONDS)
                for case in cases
            ],
            rounds=options.rounds,
            extras=[cost_table("processor ms per passage", {_case(key): costs for key, costs in side.costs.items()})],
            notes=[
                f"passages: {sum(map(len, texts)) / len(texts):.0f} characters on average, each different.",
                "one process: sentence-transformers (float32) embeds passages and their sentences, as the mesh does; "
                f"qdrant_edge stores them; {len(few)} passages, scaled. No sentences: answers could not be quoted.",
                *([f"restarted meanwhile: {dict(mesh.restarts)}"] if mesh.restarts else []),
            ],
            facts={"passages": len(texts), "peer_passages": len(few), "restarts": dict(mesh.restarts)},
        )  # fmt: skip


def _case(per_document: int) -> str:
    return "one per document" if per_document == 1 else f"{per_document} per document"


def _options() -> argparse.Namespace:
    made = parser("ingest", __doc__ or "", EXAMPLES, rounds=3)
    made.add_argument("--passages", type=positive, default=GOAL_PASSAGES, metavar="N", help="how many (5000)")
    made.add_argument(
        "--per-document", type=positive, nargs="+", default=[1, 10], metavar="N", help="passages of a document (1 10)"
    )
    made.add_argument(
        "--peer-passages", type=positive, default=200, metavar="N", help="how many the single process takes (200)"
    )
    made.add_argument("--peers", type=int, choices=(0, 1, 2), default=2, help="how many of the single processes (2)")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(execute(_options(), measure))
