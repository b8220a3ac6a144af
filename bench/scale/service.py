"""The retrieval service as it is served, in a process of its own, with vectors that are made up: what a language model
takes for a passage would hide what the store takes."""

import asyncio
import threading
import time
import zlib
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import lru_cache
from pathlib import Path

import numpy as np
import orjson
import psutil

from services.retrieval.app import assemble, open_engine
from services.retrieval.callers import SEES_ALL
from services.retrieval.language.sentences import sentences
from services.retrieval.model import WIDTH, Sentences, Span, Vector
from services.retrieval.settings import RetrievalSettings
from services.retrieval.store.folders import MARKER
from services.retrieval.store.points import PointStore
from services.runtime.embedders import MINILM, EmbedderSpec
from tests.fakes.identity import Keys
from tests.fakes.serving import serving

MIB = 1 << 20
TENANT = "bench"
# Enough for the sentences of the corpus, of which the passages are made.
REMEMBERED = 1 << 15


class MadeUp:
    """An Embedder of vectors by chance: a text's is the mean of its sentences', a sentence's that of its words'."""

    def __init__(self, spec: EmbedderSpec = MINILM) -> None:
        self.spec = spec

    async def embed_query(self, text: str) -> Vector:
        return _unit(_sentence(text))

    async def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> Sequence[tuple[Vector, Sentences]]:
        return await asyncio.to_thread(_embed, texts, spans)

    async def ready(self) -> bool:
        return True


def vector_of(text: str) -> Vector:
    """That of a passage, or of a question of one sentence. float32 [384], of length 1."""
    return _unit(np.mean([_sentence(text[start:end]) for start, end in sentences(text)], axis=0))


def _embed(texts: Sequence[str], spans: Sequence[Sequence[Span]]) -> list[tuple[Vector, Sentences]]:
    made = []
    for text, own in zip(texts, spans, strict=True):
        quantised = (np.rint(_unit(_sentence(text[start:end])) * 127).astype(np.int8) for start, end in own)
        made.append((vector_of(text), Sentences(own, b"".join(vector.tobytes() for vector in quantised))))
    return made


@lru_cache(REMEMBERED)
def _sentence(text: str) -> Vector:
    vector: Vector = np.mean([_word(word) for word in text.lower().split()] or [_word("")], axis=0)
    return vector


@lru_cache(REMEMBERED)
def _word(word: str) -> Vector:
    chance = np.random.default_rng(zlib.crc32(word.strip(".,;:?!()\"'").encode()))
    return chance.standard_normal(WIDTH, dtype=np.float32)


def _unit(vector: Vector) -> Vector:
    unit: Vector = (vector / np.float32(np.linalg.norm(vector) or 1)).astype(np.float32)
    return unit


class Service:
    """Serves from a thread until its process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "data"
        self._keys = Keys()
        self._address = ""
        self._started = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        self._started.wait()

    async def _serve(self) -> None:
        settings = RetrievalSettings(data_dir=self._folder)
        try:
            app = await assemble(settings, PointStore(open_engine(settings)), [MadeUp()], AsyncExitStack())
            async with serving(app, verifier=self._keys.verifier, settings=settings) as self._address:
                self._started.set()
                await asyncio.Event().wait()
        finally:
            self._started.set()

    def address(self) -> str:
        return self._address

    def identity(self, groups: tuple[str, ...] | None) -> tuple[tuple[str, str], ...]:
        """Metadata of a caller in these groups; None for one who reads everything."""
        if groups is None:
            return self._keys.metadata(TENANT, "", SEES_ALL)
        return self._keys.metadata(TENANT, groups=groups)

    def indexed(self, collection: str) -> int:
        """The points that the collection's HNSW index was built for; 0 while it has none."""
        marker = orjson.loads((self._folder / TENANT / collection / MARKER).read_bytes())
        return sum(generation["indexed"] for generation in marker["generations"].values())

    def processor(self) -> float:
        """Seconds of one core that this process has used."""
        return time.process_time()

    def memory(self) -> float:
        """MiB that this process and its children hold."""
        own = psutil.Process()
        return sum(each.memory_full_info().pss for each in (own, *own.children(recursive=True))) / MIB

    def disk(self) -> float:
        """MiB that the data takes."""
        return sum(path.stat().st_blocks for path in self._folder.rglob("*") if path.is_file()) * 512 / MIB
