"""A shard of Qdrant's engine, in the project's own words. The only module that knows `qdrant_edge`.

Its calls release the GIL and may run side by side. An update is in the shard's write-ahead log when the call returns;
`flush` shortens what the next opening replays.

Only `build_index`, which builds the HNSW index, keeps the GIL, for a minute where there is much. So a process of its
own, python -m services.retrieval.store.edge_shard FOLDER, does that to a copy. Until a copy takes the shard's place the
vectors that are not indexed are compared one by one.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from services.retrieval.model import WIDTH, Candidates, Signal, Sparse, StoreQuery
from services.retrieval.store import codec
from services.retrieval.store.engine import (
    Amend,
    Empty,
    FieldTest,
    Found,
    Operation,
    Point,
    Remove,
    Upsert,
    Values,
    Where,
    Within,
    candidates_of,
)

PAGE = 4096
# Of a shard, beside the thread that asks: with two, a query of a small collection took twice the processor's time, and
# on busy cores several times as long, for handing its parts to and fro.
SEARCH_THREADS = 1
HNSW = edge.HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=10_000)


class Shard:
    """One that is open, until `close`. Its methods raise what the engine does."""

    def __init__(self, shard: edge.EdgeShard) -> None:
        self._shard = shard

    @classmethod
    def create(cls, folder: Path) -> "Shard":
        """An empty one in an empty folder."""
        with closed_on_error(cls(edge.EdgeShard.create(str(folder), _config()))) as shard:
            shard.index_fields()
            return shard

    @classmethod
    def load(cls, folder: Path) -> "Shard":
        """The one in the folder, whatever number of threads it was made with."""
        return cls(edge.EdgeShard.load(str(folder), _config()))

    @property
    def points(self) -> int:
        return self._shard.info().points_count

    @property
    def fields(self) -> set[str]:
        """The payload's fields that are indexed."""
        return set(self._shard.info().payload_schema)

    def index_fields(self) -> None:
        """Index the fields that are not: all of a new shard, of one of an earlier version those that it had not."""
        there = self.fields
        for name in codec.INDEXED:
            if name not in there:
                self._shard.update(edge.UpdateOperation.create_field_index(name, edge.PayloadSchemaType.Keyword))

    def probe(self) -> None:
        """Read a little of everything that a shard is asked for. Raises what the engine does where it cannot."""
        records, _ = self._shard.scroll(edge.ScrollRequest(limit=16, with_payload=True, with_vector=False))
        if not all(record.payload for record in records):
            raise ValueError("points have lost their payload")
        nearest = (
            edge.Query.Nearest([1.0] * WIDTH, using=codec.DENSE),
            edge.Query.Nearest(edge.SparseVector([0], [1.0]), using=codec.LEXICAL),
        )
        self._shard.query_batch(edge.QueryBatchRequest([edge.QueryRequest(1, query=query) for query in nearest]))

    def apply(self, operations: Sequence[Operation]) -> None:
        for operation in operations:
            for update in _updates(operation):
                self._shard.update(update)

    def retrieve(self, ids: Sequence[str], without: Sequence[str]) -> Found:
        selected = edge.PayloadSelector.Exclude(list(without)) if without else True
        found = self._shard.retrieve(list(ids), selected, False)
        return [(str(record.id), record.payload or {}) for record in found]

    def scroll(self, where: Where, only: Sequence[str], without: Sequence[str]) -> Found:
        selected: Any = edge.PayloadSelector.Exclude(list(without)) if without else (list(only) or True)
        fixed: Any = {"limit": PAGE, "filter": _filter(where), "with_payload": selected, "with_vector": False}
        found: list[tuple[str, dict[str, Any]]] = []
        offset: Any = None
        while True:
            records, offset = self._shard.scroll(edge.ScrollRequest(offset=offset, **fixed))
            found.extend((str(record.id), record.payload or {}) for record in records)
            if offset is None:
                return found

    def count(self, where: Where) -> int:
        return self._shard.count(edge.CountRequest(filter=_filter(where)))

    def query(self, probe: StoreQuery) -> Candidates:
        signals, requests = _requests(probe)
        if not requests:
            return Candidates({})
        answers = self._shard.query_batch(edge.QueryBatchRequest(requests))
        scored = [[(str(point.id), point.score) for point in answer] for answer in answers]
        return candidates_of(signals, len(probe.exact), scored)

    def build_index(self) -> None:
        """The HNSW index of all that is not in it."""
        self._shard.optimize()

    def flush(self) -> None:
        self._shard.flush()

    def close(self) -> None:
        self._shard.close()


@contextmanager
def closed_on_error(shard: Shard) -> Iterator[Shard]:
    """Whoever keeps the error keeps no files open by it."""
    try:
        yield shard
    except BaseException:
        shard.close()
        raise


def _config() -> edge.EdgeConfig:
    return edge.EdgeConfig(
        vectors={codec.DENSE: edge.EdgeVectorParams(WIDTH, edge.Distance.Cosine)},
        sparse_vectors={codec.LEXICAL: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        hnsw_config=HNSW,
        max_search_threads=SEARCH_THREADS,
    )


def _updates(operation: Operation) -> list[edge.UpdateOperation]:
    match operation:
        case Upsert(points):
            return [edge.UpdateOperation.upsert_points([_point(point) for point in points])]
        case Remove(ids, where):
            by_id = [edge.UpdateOperation.delete_points(list(ids))] if ids else []
            by_filter = [edge.UpdateOperation.delete_points_by_filter(_filter(where))] if where else []
            return by_id + by_filter
        case Amend(payload, ids, where):
            by_id = [edge.UpdateOperation.set_payload(list(ids), payload)] if ids else []
            by_filter = [edge.UpdateOperation.set_payload_by_filter(_filter(where), payload)] if where else []
            return by_id + by_filter


def _point(point: Point) -> edge.Point:
    vectors: Any = {}
    if point.dense is not None:
        vectors[codec.DENSE] = point.dense.tolist()
    if point.lexical is not None and point.lexical.indices:
        vectors[codec.LEXICAL] = _sparse(point.lexical)
    return edge.Point(point.id, vectors, point.payload)


def _sparse(vector: Sparse) -> edge.SparseVector:
    return edge.SparseVector(vector.indices, vector.values)


def _filter(where: Where) -> edge.Filter:
    must: list[Any] = [*map(_condition, where.all_of)]
    must += [edge.Filter(should=[_filter(one) for one in group]) for group in where.any_of]
    return edge.Filter(must=must or None, must_not=[*map(_condition, where.none_of)] or None)


def _condition(test: FieldTest) -> edge.FieldCondition | edge.IsEmptyCondition:
    if isinstance(test, Empty):  # not by the mark: what lacks one is looked for among all points, this in an index
        return edge.IsEmptyCondition(test.field)
    if isinstance(test, Within):
        bounds = edge.RangeFloat(gt=test.range.gt, gte=test.range.gte, lt=test.range.lt, lte=test.range.lte)
        return edge.FieldCondition(test.field, range=bounds)
    return edge.FieldCondition(test[0], match=_any_of(test[1]))


def _any_of(values: Values) -> edge.MatchAny:
    alike: Any = list(values)  # all strings, or all numbers
    return edge.MatchAny(alike)


def _requests(probe: StoreQuery) -> tuple[list[Signal], list[edge.QueryRequest]]:
    """One query for each signal and each identifier; and where there are several, one more for each signal, to score
    what the others found."""
    queries: dict[Signal, edge.Query] = {}
    if probe.dense is not None:
        queries[Signal.DENSE] = edge.Query.Nearest(probe.dense.tolist(), using=codec.DENSE)
    if probe.lexical is not None and probe.lexical.indices:
        queries[Signal.LEXICAL] = edge.Query.Nearest(_sparse(probe.lexical), using=codec.LEXICAL)
    narrowed = codec.where_of(probe.filter)
    where = _filter(narrowed) if narrowed else None
    exact = [edge.Query.Nearest(_sparse(identifier), using=codec.LEXICAL) for identifier in probe.exact]
    requests = [
        edge.QueryRequest(probe.limit, query=query, filter=where, with_payload=False)
        for query in [*queries.values(), *exact]
    ]
    if len(requests) > 1:
        for signal, query in queries.items():
            others = [*(other for each, other in queries.items() if each is not signal), *exact]
            prefetches = [edge.Prefetch(probe.limit, query=other, filter=where) for other in others]
            most = probe.limit * len(others)
            requests.append(edge.QueryRequest(most, query=query, prefetches=prefetches, with_payload=False))
    return list(queries), requests


def index_copy(folder: Path) -> None:
    """Index the shard in `folder`, giving way to everything else on the machine."""
    os.nice(10)
    shard = Shard.load(folder)
    shard.build_index()
    shard.flush()
    shard.close()


if __name__ == "__main__":
    index_copy(Path(sys.argv[1]))
