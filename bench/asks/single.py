"""The peer: the same work in one Python process, as a user would write it with sentence-transformers and the store.

Nothing here is made slow. It uses the same weights, the same engine, and the project's own pure functions for words,
sentences and the choice of quotes. Nothing crosses a network or a process.
"""

import math
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import qdrant_edge as edge

from bench.kit.figures import Latencies
from services.models.weights import minilm_folder
from services.orchestrator.rag.quotes import QuoteQuestion, choose
from services.orchestrator.settings import OrchestratorSettings
from services.retrieval.language.sentences import sentences
from services.retrieval.language.words import passage_vector, query_vector
from services.retrieval.model import Candidates, SearchRequest, Signal
from services.retrieval.search.fusion import Fused
from services.retrieval.search.plan import plan
from services.retrieval.search.sentences import cosines
from services.retrieval.search.weights import weigh

DENSE, LEXICAL = "dense", "lexical"
WIDTH = 384
CANDIDATES = 20
PASSAGES = 3
SENTENCES = 2
INT8_SCALE = 127
BATCH = 32
NAMESPACE = uuid.UUID("0a3f5c1e-52a1-4a39-9c0e-6a8d3a7b2c11")

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage in memory: its sentences, and their vectors as int8 [sentences, 384]."""

    document: str
    sentences: tuple[str, ...]
    vectors: npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence quoted, and the document it is from."""

    document: str
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a load of questions came to. `processor` is the seconds of one core that the process used."""

    answered: int
    seconds: float
    latency: Latencies
    processor: float

    @property
    def rate(self) -> float:
        return self.answered / self.seconds


class Single:
    """Ingests and answers. Safe for use by several threads at once."""

    def __init__(self, folder: Path, dtype: str, threads: int) -> None:
        os.environ["HF_HUB_OFFLINE"] = "1"
        import torch
        from sentence_transformers import SentenceTransformer

        if threads:
            torch.set_num_threads(threads)
        model_options = {"dtype": getattr(torch, dtype)}
        self._model: Any = SentenceTransformer(str(minilm_folder()), device="cpu", model_kwargs=model_options)
        self._folder = folder
        self._threshold = OrchestratorSettings().answer_threshold
        self._passages: dict[str, Passage] = {}
        self._shards = 0
        self._processor = 0.0
        self.clear()

    def clear(self) -> None:
        """Begin with an empty store."""
        self.processor()
        self._shards += 1
        folder = self._folder / str(self._shards)
        folder.mkdir(parents=True)
        config = edge.EdgeConfig(
            vectors={DENSE: edge.EdgeVectorParams(WIDTH, edge.Distance.Cosine)},
            sparse_vectors={LEXICAL: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        )
        self._shard = edge.EdgeShard.create(str(folder), config)
        self._passages = {}

    def ingest(self, passages: Mapping[str, str], with_sentences: bool) -> float:
        """Embed and store passages by document; the seconds it took. Questions need the sentences."""
        started = time.perf_counter()
        documents = list(passages)
        for first in range(0, len(documents), BATCH):
            self._write({document: passages[document] for document in documents[first : first + BATCH]}, with_sentences)
        self._shard.flush()
        return time.perf_counter() - started

    def processor(self) -> float:
        """Seconds of one core used since this was last asked."""
        before, self._processor = self._processor, time.process_time()
        return self._processor - before

    def ask(self, question: str) -> list[Quote]:
        """The sentences that answer, best first; none where nothing does."""
        vector = self._embed([question])[0]
        ranked = self._search(question, vector)
        found = [self._passages[key] for key, _, _ in ranked]
        owners = [(passage, text) for passage in found for text in passage.sentences]
        if not owners:
            return []
        answer = choose(
            QuoteQuestion(
                text=question,
                sentences=[text for _, text in owners],
                cosines=np.concatenate([cosines(passage.vectors, vector) for passage in found]).astype(np.float32),
                passage=np.repeat(np.arange(len(found), dtype=np.int32), [len(passage.sentences) for passage in found]),
                passage_scores=np.array([scores for _, *scores in ranked], dtype=np.float32),
                max_sentences=SENTENCES,
            ),
            self._threshold,
        )
        return [Quote(owners[place][0].document, owners[place][1]) for place, _ in answer.chosen]

    def load(self, questions: Sequence[str], threads: int, seconds: float, warm_up: float) -> Asked:
        """Ask the questions in turn from so many threads, each again as soon as it is answered."""
        turn = cycle(questions)
        begin = time.perf_counter() + warm_up
        latencies: list[float] = []
        askers = [
            threading.Thread(target=self._ask_until, args=(turn, begin, begin + seconds, latencies))
            for _ in range(threads)
        ]
        processor = time.process_time()
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        return Asked(len(latencies), seconds, Latencies.of(latencies), time.process_time() - processor)

    def _ask_until(self, turn: Iterator[str], begin: float, end: float, latencies: list[float]) -> None:
        while (started := time.perf_counter()) < end:
            self.ask(next(turn))
            ended = time.perf_counter()
            if started >= begin and ended <= end:
                latencies.append(ended - started)

    def _embed(self, texts: Sequence[str]) -> Floats:
        vectors = self._model.encode(
            list(texts), batch_size=BATCH, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)

    def _write(self, passages: Mapping[str, str], with_sentences: bool) -> None:
        points = []
        own = {document: _sentences(text) if with_sentences else () for document, text in passages.items()}
        embedded = iter(self._embed([text for texts in own.values() for text in texts]) if with_sentences else ())
        for (document, text), vector in zip(passages.items(), self._embed(list(passages.values())), strict=True):
            key = str(uuid.uuid5(NAMESPACE, document))
            vectors = np.array([next(embedded) for _ in own[document]], dtype=np.float32).reshape(-1, WIDTH)
            self._passages[key] = Passage(document, own[document], np.rint(vectors * INT8_SCALE).astype(np.int8))
            words = passage_vector(text)
            sparse = edge.SparseVector(words.indices, words.values)
            payload = {"document_id": document, "text": text}
            points.append(edge.Point(key, {DENSE: vector.tolist(), LEXICAL: sparse}, payload))
        self._shard.update(edge.UpdateOperation.upsert_points(points))

    def _search(self, question: str, vector: Floats) -> list[tuple[str, float, float]]:
        """The best passages by both signals: id, cosine, BM25; NaN where a signal did not find it."""
        words = query_vector(question)
        sparse = edge.SparseVector(words.indices, words.values)
        requests = [
            edge.QueryRequest(CANDIDATES, query=edge.Query.Nearest(vector.tolist(), DENSE)),
            edge.QueryRequest(CANDIDATES, query=edge.Query.Nearest(sparse, LEXICAL)),
        ]
        nearest, matching = (
            [(str(point.id), point.score) for point in points]
            for points in self._shard.query_batch(edge.QueryBatchRequest(requests))
        )
        found = {Signal.DENSE: nearest, Signal.LEXICAL: matching}
        cosines, scores = dict(nearest), dict(matching)
        candidates = Candidates(found)
        weights = weigh(plan(SearchRequest("", question)), candidates).by_signal
        best = Fused(candidates, weights).ranked[:PASSAGES]
        return [(key, cosines.get(key, math.nan), scores.get(key, math.nan)) for key, _ in best]


def _sentences(text: str) -> tuple[str, ...]:
    return tuple(text[start:end] for start, end in sentences(text))
