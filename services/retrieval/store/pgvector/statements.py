"""What the engine asks of a generation's tables, as statements."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    ColumnElement,
    Double,
    Executable,
    Integer,
    Select,
    Text,
    Uuid,
    and_,
    any_,
    cast,
    column,
    delete,
    false,
    func,
    insert,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert

from services.retrieval.model import Sparse
from services.retrieval.model import Vector as Dense
from services.retrieval.store.engine import Empty, FieldTest, Payload, Point, Where, Within
from services.retrieval.store.pgvector.tables import LISTS, NUMBERS, SCALARS, GenerationTables, Vector

# The database's texts cannot hold the character 0. This one is no text's: Unicode leaves it to programs.
NUL = "\ufdd0"
_NUL_IN_JSON = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def dumped(payload: Mapping[str, Any]) -> str:
    """A payload as the database takes it."""
    data = orjson.dumps(payload)
    if b"\\u0000" in data:
        data = _NUL_IN_JSON.sub(rb"\1" + NUL.encode(), data)
    return data.decode()


def loaded(data: str) -> Payload:
    """The payload that was `dumped`."""
    payload: Payload = orjson.loads(data.replace(NUL, "\\u0000") if NUL in data else data)
    return payload


def matching(tables: GenerationTables, where: Where) -> ColumnElement[bool]:
    """Whether a point is one that `where` names."""
    tests = [_test(tables, test) for test in where.all_of]
    tests += [_lacks(tables, test) for test in where.none_of]
    tests += [or_(false(), *(matching(tables, one) for one in group)) for group in where.any_of]
    return and_(true(), *tests)


def _lacks(tables: GenerationTables, test: FieldTest) -> ColumnElement[bool]:
    return not_(func.coalesce(_test(tables, test), false()))


def _test(tables: GenerationTables, test: FieldTest) -> ColumnElement[bool]:
    """Null where the point has no such field."""
    points = tables.points.c
    if isinstance(test, Empty):
        return _lacks(tables, (test.field, [test.mark]))
    if isinstance(test, Within):
        field, name = test.field.split(".", 1)
        values = points[field] if field == NUMBERS else points.payload[field]
        number = cast(values[name].astext, Double)
        bounds = test.range
        pairs = (
            (bounds.gt, number.__gt__),
            (bounds.gte, number.__ge__),
            (bounds.lt, number.__lt__),
            (bounds.lte, number.__le__),
        )
        return and_(true(), *(compared(bound) for bound, compared in pairs if bound is not None))
    field, given = test
    if all(isinstance(value, int) for value in given):
        as_text: ColumnElement[str] = points.payload[field].astext
        return as_text == any_(_texts(map(str, given)))
    wanted = _texts(str(value).replace("\0", NUL) for value in given)
    if field in SCALARS:
        return any_(wanted) == points[field]
    values = points[field] if field in LISTS else points.payload[field]
    return values.op("?|", return_type=Boolean())(wanted)


def _texts(values: Any) -> Any:
    return literal(list(values), ARRAY(Text))


def of_ids(tables: GenerationTables, ids: Sequence[str]) -> ColumnElement[bool]:
    return any_(cast(_texts(ids), ARRAY(Uuid(as_uuid=False)))) == tables.points.c.id


def chosen(tables: GenerationTables, ids: Sequence[str], where: Where | None) -> ColumnElement[bool]:
    """The points of these ids, and those that `where` names, which names none where it excludes none."""
    return or_(false(), *([of_ids(tables, ids)] if ids else []), *([matching(tables, where)] if where else []))


def scroll(
    tables: GenerationTables, which: ColumnElement[bool], only: Sequence[str] = (), without: Sequence[str] = ()
) -> Select[Any]:
    """The ids and payloads of points, with only some fields, or without some."""
    points = tables.points.c
    payload: ColumnElement[Any] = points.payload
    if only:
        fields = [part for name in only for part in (literal(name, Text), _field(tables, name))]
        payload = func.jsonb_strip_nulls(func.jsonb_build_object(*fields))
    elif without:
        payload = points.payload.op("-")(_texts(without))
    return select(points.id, cast(payload, Text)).where(which)


def _field(tables: GenerationTables, name: str) -> ColumnElement[Any]:
    """A field as JSON; of the row where it has it, for payloads are kept apart."""
    points = tables.points.c
    return points[name] if name in (*SCALARS, *LISTS, NUMBERS) else points.payload[name]


def retrieve(tables: GenerationTables, ids: Sequence[str], without: Sequence[str] = ()) -> Select[Any]:
    return scroll(tables, of_ids(tables, ids), without=without)


def count(tables: GenerationTables, where: Where) -> Select[Any]:
    return size(tables).where(matching(tables, where))


def size(tables: GenerationTables) -> Select[Any]:
    """How many points there are, without vectors too."""
    return select(func.count()).select_from(tables.points)


def with_terms(tables: GenerationTables) -> Select[Any]:
    """How many points have terms."""
    return size(tables).where(tables.points.c.has_terms)


def write_points(tables: GenerationTables, points: Sequence[Point]) -> Executable:
    """Write them, in the order of their ids, so that nobody who does the same waits in a circle; returns the number
    and the id of each, and whether it was there."""
    given = (
        func.unnest(
            _texts(point.id for point in points),
            _texts(dumped(point.payload) for point in points),
            _texts(None if point.dense is None else vector_text(point.dense) for point in points),
            literal([bool(point.lexical and point.lexical.indices) for point in points], ARRAY(Boolean)),
        )
        .table_valued(column("id", Text), column("payload", Text), column("dense", Text), column("has_terms", Boolean))
        .render_derived(name="given")
    )
    columns = ("id", "payload", "dense", "has_terms")
    rows = select(
        cast(given.c.id, Uuid(as_uuid=False)),
        cast(given.c.payload, JSONB),
        cast(given.c.dense, Vector),
        given.c.has_terms,
    ).order_by(given.c.id)
    new = upsert(tables.points).from_select(columns, rows)
    changed = {name: new.excluded[name] for name in columns[1:]}
    written = tables.points.c
    return new.on_conflict_do_update(index_elements=["id"], set_=changed).returning(
        written.number, written.id, literal_column("xmax <> 0", Boolean)
    )


def write_terms(tables: GenerationTables, weights: Mapping[int, Sparse]) -> Executable:
    """Write the terms of points, by their numbers."""
    numbers = [number for number, vector in weights.items() for _ in vector.indices]
    indices = [index for vector in weights.values() for index in vector.indices]
    values = [value for vector in weights.values() for value in vector.values]
    given = (
        func.unnest(
            literal(numbers, ARRAY(BigInteger)), literal(signed(indices), ARRAY(Integer)), literal(values, ARRAY(REAL))
        )
        .table_valued(column("point", BigInteger), column("term", Integer), column("weight", REAL))
        .render_derived(name="given")
    )
    return insert(tables.terms).from_select(["point", "term", "weight"], select(given))


def forget_terms(tables: GenerationTables, numbers: Sequence[int]) -> Executable:
    """Delete the terms of points."""
    return delete(tables.terms).where(any_(literal(list(numbers), ARRAY(BigInteger))) == tables.terms.c.point)


def remove(tables: GenerationTables, which: ColumnElement[bool]) -> Executable:
    """Delete points with their terms."""
    points = tables.points
    gone = delete(points).where(_locked(tables, which)).returning(points.c.number).cte("gone")
    return delete(tables.terms).where(tables.terms.c.point.in_(select(gone.c.number))).add_cte(gone)


def amend(tables: GenerationTables, which: ColumnElement[bool], payload: Payload) -> Executable:
    """Set fields of points' payloads."""
    points = tables.points
    fields = cast(literal(dumped(payload), Text), JSONB)
    return update(points).where(_locked(tables, which)).values(payload=points.c.payload.op("||")(fields))


def _locked(tables: GenerationTables, which: ColumnElement[bool]) -> ColumnElement[bool]:
    points = tables.points.c
    return points.number.in_(select(points.number).where(which).order_by(points.id).with_for_update())


def vector_text(vector: Dense) -> str:
    return orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def signed(indices: Sequence[int]) -> list[int]:
    """The unsigned indices of terms as the database's integers, which are signed."""
    return [index - (1 << 32) if index >= 1 << 31 else index for index in indices]


def unsigned(index: int) -> int:
    return index + (1 << 32) if index < 0 else index
