"""One search of a generation: each signal's best, what identifiers are in, and how the one scores what others found.

BM25 needs how rare a term is, which is counted in the inverted index when it is looked for, by the formula of the other
engines. Vectors are found by their index where there is one. That looks at so many of the nearest, and then leaves out
those that a filter excludes: where too few are left, all that the filter names are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from sqlalchemy import Select, bindparam, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retrieval.model import Candidates, Signal, Sparse, StoreQuery
from services.retrieval.model import Vector as Dense
from services.retrieval.store.engine import candidates_of
from services.retrieval.store.pgvector.ranking import Ranking, Values, term_values, vector_values
from services.retrieval.store.pgvector.statements import signed, unsigned

LOOKED_AT = 100
LOOKED_AT_FILTERED = 400
MOST_LOOKED_AT = 1000
"""Of the nearest vectors, by their index; the last is pgvector's own bound."""

Scored = list[tuple[str, float]]

_LOOK_AT = select(func.set_config(literal("hnsw.ef_search"), bindparam("count"), literal(True)))


@dataclass(frozen=True, slots=True)
class Figures:
    """How many points have terms; whether vectors have an index."""

    count: int
    indexed: bool


@dataclass(frozen=True, slots=True)
class PointSearch:
    """Searches a generation within one transaction."""

    connection: AsyncConnection
    ranking: Ranking
    figures: Figures

    async def candidates(self, probe: StoreQuery) -> Candidates:
        lexical = probe.lexical if probe.lexical and probe.lexical.indices else None
        weighted = await self._weighted([*([lexical] if lexical else []), *probe.exact])
        exact = weighted[1:] if lexical else weighted
        queries: dict[Signal, Dense | Sparse] = {}
        if probe.dense is not None:
            queries[Signal.DENSE] = probe.dense
        if lexical:
            queries[Signal.LEXICAL] = weighted[0]
        answers = [await self._best(query, probe.limit) for query in (*queries.values(), *exact)]
        if len(answers) > 1:
            for place, query in enumerate(queries.values()):
                others = {point for at, answer in enumerate(answers) if at != place for point, _ in answer}
                answers.append(await self._score(query, sorted(others)))
        return candidates_of(list(queries), len(exact), answers)

    async def _weighted(self, queries: Sequence[Sparse]) -> list[Sparse]:
        """Each term by how rare it is, too."""
        terms = sorted({index for query in queries for index in query.indices})
        if not terms:
            return list(queries)
        rows = await self.connection.execute(self.ranking.frequencies, {"terms": signed(terms)})
        frequency = {unsigned(term): found for term, found in rows}
        rarity = {index: _rarity(self.figures.count, frequency.get(index, 0)) for index in terms}
        return [
            Sparse(query.indices, [value * rarity[at] for at, value in zip(query.indices, query.values, strict=True)])
            for query in queries
        ]

    async def _best(self, query: Dense | Sparse, limit: int) -> Scored:
        if isinstance(query, Sparse):
            return await self._rows(self.ranking.best, term_values(query) | {"limit": limit})
        if self.figures.indexed:
            least = LOOKED_AT_FILTERED if self.ranking.filtered else LOOKED_AT
            await self.connection.execute(_LOOK_AT, {"count": str(min(MOST_LOOKED_AT, max(least, limit)))})
            found = await self._rows(self.ranking.nearest(limit), vector_values(query))
            if len(found) >= limit:
                return found
        return await self._rows(self.ranking.exact, vector_values(query) | {"limit": limit})

    async def _score(self, query: Dense | Sparse, ids: Sequence[str]) -> Scored:
        if not ids:
            return []
        if isinstance(query, Sparse):
            return await self._rows(self.ranking.term_scores, term_values(query) | {"ids": ids})
        return await self._rows(self.ranking.cosines, vector_values(query) | {"ids": ids})

    async def _rows(self, statement: Select[Any], values: Values) -> Scored:
        return [(point, float(score)) for point, score in await self.connection.execute(statement, values)]


def _rarity(count: int, frequency: int) -> float:
    """The inverse document frequency; the count may be a moment older than what has the term."""
    return log(1 + (max(count, frequency) - frequency + 0.5) / (frequency + 0.5))
