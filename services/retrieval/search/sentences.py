"""How near each sentence of a passage is to the query, by the vectors that were made at ingestion."""

from collections.abc import Callable

import numpy as np

from services.retrieval.model import WIDTH, Sentences, SentenceScores, Vector

Worth = Callable[[float], float]


def score(sentences: Sentences, query: Vector | None, worth: Worth = float) -> SentenceScores:
    """Scores of a passage's sentences, what the cosine of each is worth; none where the query was not embedded."""
    if query is None:
        return SentenceScores(sentences.spans, (), sentences.leads)
    found = cosines(np.frombuffer(sentences.vectors, np.int8).reshape(-1, WIDTH), query)
    scores = [worth(cosine) if cosine else 0.0 for cosine in found]
    return SentenceScores(sentences.spans, scores, sentences.leads)


def cosines(vectors: "np.ndarray[tuple[int, int], np.dtype[np.int8]]", query: Vector) -> list[float]:
    """Each row's cosine with the query's unit vector; 0 for a row of zeros."""
    rows = vectors.astype(np.float32)
    lengths = np.maximum(np.sqrt(np.einsum("ij,ij->i", rows, rows)), 1.0)
    found: list[float] = ((rows @ query) / lengths).tolist()
    return found
