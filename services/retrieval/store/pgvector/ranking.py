"""What a search asks of a generation's tables: made once for each filter, as making a statement takes longer than
many a search."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Double,
    Float,
    Integer,
    Select,
    Text,
    Uuid,
    any_,
    bindparam,
    cast,
    column,
    desc,
    func,
    literal_column,
    select,
    true,
)

from services.retrieval.model import Sparse
from services.retrieval.model import Vector as Dense
from services.retrieval.store.engine import Where
from services.retrieval.store.pgvector.statements import matching, signed, vector_text
from services.retrieval.store.pgvector.tables import GenerationTables, Vector

Values = dict[str, Any]


def vector_values(vector: Dense) -> Values:
    return {"vector": vector_text(vector)}


def term_values(query: Sparse) -> Values:
    return {"terms": signed(query.indices), "weights": query.values}


class Ranking:
    """Statements that find the best points, of those that `where` names. Their parameters: `vector`, or `terms` and
    `weights`; `limit`; `ids`. They return ids and scores."""

    def __init__(self, tables: GenerationTables, where: Where) -> None:
        self._tables = tables
        self._which: ColumnElement[bool] | None = matching(tables, where) if where else None
        self._nearest: dict[int, Select[Any]] = {}
        self.filtered = self._which is not None
        self.frequencies = self._frequencies()
        """How many points have each of the terms."""
        self.exact = self._by_distance(
            _distance(tables) + literal_column("0.0", Float), bindparam("limit", type_=Integer)
        )
        """The nearest by their cosine: all are compared, for a sum is not what is indexed."""
        self.best = self._best()
        """Those whose terms weigh most."""
        self.cosines = self._cosines()
        """How near the points of these ids are."""
        self.term_scores = self._term_scores()
        """What the terms weigh in those points of these ids that have one."""

    def nearest(self, limit: int) -> Select[Any]:
        """The nearest by the index of vectors, where there is one: no more than it was told to look at."""
        if limit not in self._nearest:  # in the statement, for the planner is to know how few they are
            self._nearest[limit] = self._by_distance(_distance(self._tables), literal_column(str(limit)))
        return self._nearest[limit]

    def _by_distance(self, by: ColumnElement[float], limit: ColumnElement[int]) -> Select[Any]:
        points = self._tables.points.c
        found = select(points.id, 1 - _distance(self._tables)).where(points.dense.is_not(None), self._chosen())
        return found.order_by(by).limit(limit)

    def _cosines(self) -> Select[Any]:
        points = self._tables.points.c
        return select(points.id, 1 - _distance(self._tables)).where(points.dense.is_not(None), points.id == _any_id())

    def _frequencies(self) -> Select[Any]:
        own = self._tables.terms.c
        wanted = any_(bindparam("terms", type_=ARRAY(Integer))) == own.term
        return select(own.term, func.count()).where(wanted).group_by(own.term)

    def _best(self) -> Select[Any]:
        points = self._tables.points.c
        limit = bindparam("limit", type_=Integer)
        scores = self._scores()
        if not self.filtered:
            scores = scores.order_by(desc("score")).limit(limit)
        by_number = scores.subquery("scores")
        found = select(points.id, by_number.c.score).join_from(
            by_number, self._tables.points, points.number == by_number.c.point
        )
        return found.where(self._chosen()).order_by(by_number.c.score.desc(), points.id).limit(limit)

    def _term_scores(self) -> Select[Any]:
        points = self._tables.points.c
        wanted = select(points.number).where(points.id == _any_id()).scalar_subquery()
        by_number = self._scores().where(self._tables.terms.c.point.in_(wanted)).subquery("scores")
        return select(points.id, by_number.c.score).join_from(
            by_number, self._tables.points, points.number == by_number.c.point
        )

    def _scores(self) -> Select[Any]:
        terms = self._tables.terms.c
        given = (
            func.unnest(bindparam("terms", type_=ARRAY(Integer)), bindparam("weights", type_=ARRAY(Double)))
            .table_valued(column("term", Integer), column("weight", Double))
            .render_derived(name="given")
        )
        score = func.sum(given.c.weight * terms.weight).label("score")
        joined = select(terms.point, score).join_from(given, self._tables.terms, terms.term == given.c.term)
        return joined.group_by(terms.point)

    def _chosen(self) -> ColumnElement[bool]:
        return true() if self._which is None else self._which


def _any_id() -> Any:
    return any_(cast(bindparam("ids", type_=ARRAY(Text)), ARRAY(Uuid(as_uuid=False))))


def _distance(tables: GenerationTables) -> ColumnElement[float]:
    # As a query of its own the vector is read once, and not for each row.
    given = select(cast(bindparam("vector", type_=Text), Vector)).scalar_subquery()
    return tables.points.c.dense.op("<=>", return_type=Float())(given)
