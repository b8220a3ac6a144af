"""One search of a generation: each signal's best, what identifiers are in, and how the one scores what others found.

BM25 needs how rare a term is, which is counted in the inverted index when it is looked for, by the formula of the other
engines. Vectors are found by their index where there is one. That looks at so many of the nearest, and then leaves out
those that a filter excludes: where too few are left, all that the filter names are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from sqlalchemy import ColumnElement, Executable, func, literal, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retrieval.model import Candidates, Signal, Sparse, StoreQuery
from services.retrieval.model import Vector as Dense
from services.retrieval.store import codec
from services.retrieval.store.engine import candidates_of
from services.retrieval.store.pgvector import statements
from services.retrieval.store.pgvector.tables import GenerationTables

LOOKED_AT = 100
LOOKED_AT_FILTERED = 400
MOST_LOOKED_AT = 1000
"""Of the nearest vectors, by their index; the last is pgvector's own bound."""

Scored = list[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Figures:
    """How many points have terms; whether vectors have an index."""

    count: int
    indexed: bool


@dataclass(frozen=True, slots=True)
class PointSearch:
    """Searches a generation within one transaction."""

    connection: AsyncConnection
    tables: GenerationTables
    figures: Figures

    async def candidates(self, probe: StoreQuery) -> Candidates:
        where = codec.where_of(probe.filter)
        which = statements.matching(self.tables, where) if where else None
        lexical = probe.lexical if probe.lexical and probe.lexical.indices else None
        weighted = await self._weighted([*([lexical] if lexical else []), *probe.exact])
        exact = weighted[1:] if lexical else weighted
        queries: dict[Signal, Dense | Sparse] = {}
        if probe.dense is not None:
            queries[Signal.DENSE] = probe.dense
        if lexical:
            queries[Signal.LEXICAL] = weighted[0]
        answers = [await self._best(query, which, probe.limit) for query in (*queries.values(), *exact)]
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
        rows = await self.connection.execute(statements.frequencies(self.tables, terms))
        frequency = {statements.unsigned(term): found for term, found in rows}
        rarity = {index: _rarity(self.figures.count, frequency.get(index, 0)) for index in terms}
        return [
            Sparse(
                query.indices, [value * rarity[index] for index, value in zip(query.indices, query.values, strict=True)]
            )
            for query in queries
        ]

    async def _best(self, query: Dense | Sparse, which: ColumnElement[bool] | None, limit: int) -> Scored:
        if isinstance(query, Sparse):
            return await self._rows(statements.best_by_terms(self.tables, query, which, limit))
        return await self._nearest(query, which, limit)

    async def _nearest(self, vector: Dense, which: ColumnElement[bool] | None, limit: int) -> Scored:
        chosen = true() if which is None else which
        if self.figures.indexed:
            least = LOOKED_AT if which is None else LOOKED_AT_FILTERED
            look_at = str(min(MOST_LOOKED_AT, max(least, limit)))
            await self.connection.execute(
                select(func.set_config(literal("hnsw.ef_search"), literal(look_at), literal(True)))
            )
            found = await self._rows(statements.nearest(self.tables, vector, chosen, limit, exact=False))
            if len(found) >= limit:
                return found
        return await self._rows(statements.nearest(self.tables, vector, chosen, limit, exact=True))

    async def _score(self, query: Dense | Sparse, ids: Sequence[str]) -> Scored:
        if not ids:
            return []
        if isinstance(query, Sparse):
            return await self._rows(statements.term_scores(self.tables, query, ids))
        return await self._rows(statements.cosines(self.tables, query, ids))

    async def _rows(self, statement: Executable) -> Scored:
        return [(point, float(score)) for point, score in await self.connection.execute(statement)]


def _rarity(count: int, frequency: int) -> float:
    """The inverse document frequency; the count may be a moment older than what has the term."""
    return log(1 + (max(count, frequency) - frequency + 0.5) / (frequency + 0.5))
