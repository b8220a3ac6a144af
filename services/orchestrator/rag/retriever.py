"""What the pipeline needs of retrieval."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from services.orchestrator.runs.events import Span, Timing

WIDTH = 384


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage found.

    `start` is the place of its text in its document. `sentences` are ranges in `text`; `vectors` int8
    [sentences, 384], of which only the direction counts. `dense` is a cosine, `lexical` a BM25 score; NaN where a
    signal did not find the passage.
    """

    id: str
    document_id: str
    title: str
    uri: str
    text: str
    start: int
    score: float
    dense: float = float("nan")
    lexical: float = float("nan")
    sentences: tuple[Span, ...] = ()
    vectors: npt.NDArray[np.int8] = field(default_factory=lambda: np.zeros((0, WIDTH), np.int8))


@dataclass(frozen=True, slots=True)
class Found:
    """Passages, best first. `query_vector`: float32 [384], None where the question was not embedded."""

    passages: tuple[Passage, ...]
    query_vector: npt.NDArray[np.float32] | None = None
    timings: tuple[Timing, ...] = ()


class Retriever(Protocol):
    """Finds passages in a collection of the present caller's. Raises DomainErrors."""

    async def search(self, collection: str, question: str, limit: int) -> Found: ...
