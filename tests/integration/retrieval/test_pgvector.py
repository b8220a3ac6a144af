"""What the store in PostgreSQL does besides: its index of vectors, replicas, a database that goes and comes back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from services.retrieval.errors import StoreUnavailable
from services.retrieval.language.words import identifier_vector, passage_vector, query_vector
from services.retrieval.model import WIDTH, CollectionKey, Condition, DocumentFilter, Signal, StoreQuery, Vector
from services.retrieval.settings import RetrievalSettings
from services.retrieval.store.engine import About, Amend, Point, Remove, Upsert, VectorEngine, Where
from services.retrieval.store.pgvector import search
from services.retrieval.store.pgvector.engine import PgvectorEngine
from services.retrieval.store.pgvector.statements import dumped, loaded
from services.retrieval.store.points import PointStore
from services.retrieval.store.qdrant_edge import EdgeEngine
from services.runtime.errors import CollectionNotFound
from services.runtime.language.identifiers import identifiers
from tests.fakes.serving import until
from tests.fixtures.processes import Postgres

KEY = CollectionKey("acme", "docs")
ABOUT = About(1200, 1.5)
EVERYTHING = Where(none_of=[("kind", ["none"])])
WORDS = ["gate", "water", "dam", "sluice", "weir", "turbine", "spillway", "intake", "penstock", "canal"]


def vectors(count: int) -> list[Vector]:
    made = np.random.default_rng(3).normal(size=(count, WIDTH)).astype(np.float32)
    return list(made / np.linalg.norm(made, axis=1, keepdims=True))


def points(count: int) -> list[Point]:
    """One in twenty is rare; the words of each are its own."""
    texts = [f"{WORDS[n % 7]} {WORDS[n % 10]} part WF-{n:04d}" for n in range(count)]
    return [
        Point(
            f"00000000-0000-5000-8000-{n:012d}",
            {
                "kind": "passage",
                "document_id": f"d{n}",
                "media_type": "rare" if n % 20 == 0 else "common",
                "text": text,
            },
            vector,
            passage_vector(text),
        )
        for n, (vector, text) in enumerate(zip(vectors(count), texts, strict=True))
    ]


async def filled(engine: VectorEngine, count: int) -> None:
    await engine.create(KEY, ABOUT)
    await engine.apply(KEY, [Upsert(points(count))])


@pytest.fixture
async def engine(pgvector_url: str) -> AsyncIterator[PgvectorEngine]:
    engine = PgvectorEngine(pgvector_url, seconds=5, index_from=1000)
    yield engine
    await engine.aclose()


def database(url: str) -> str:
    return url.rpartition("/")[2]


def indexes(server: Postgres, url: str) -> list[str]:
    """Those of vectors, with whether they can be used."""
    found = "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON oid = indexrelid WHERE relname LIKE '%_dense'"
    return server.sql(found, database(url)).split()


RARE = DocumentFilter([Condition("media_type", ["rare"])])
PROBES = [
    StoreQuery(vectors(1)[0], query_vector("water of the turbine"), DocumentFilter(), 20),
    StoreQuery(vectors(3)[2], query_vector("gate and intake"), RARE, 20),
    StoreQuery(
        vectors(3)[1], query_vector("part WF-0123"), DocumentFilter(), 5,
        [identifier_vector(one) for one in identifiers("WF-0123")],
    ),
]  # fmt: skip


async def test_scores_are_those_of_the_embedded_store(engine: PgvectorEngine, tmp_path: Path) -> None:
    edge = EdgeEngine(tmp_path, threads=1)
    for each in (engine, edge):
        await filled(each, 300)
    for probe in PROBES:
        ours, theirs = await engine.query(KEY, probe), await edge.query(KEY, probe)
        for signal in (Signal.DENSE, Signal.LEXICAL):
            scores = [score for _, score in theirs.found[signal]]
            assert [score for _, score in ours.found[signal]] == pytest.approx(scores, abs=1e-4)
            both = ours.also[signal].keys() & theirs.also[signal].keys()
            assert {one: ours.also[signal][one] for one in both} == pytest.approx(
                {one: theirs.also[signal][one] for one in both}, abs=1e-4
            )
        assert [len(held) for held in ours.exact] == [len(held) for held in theirs.exact]
    await edge.aclose()


async def test_vectors_are_indexed_where_there_are_many_and_found_by_it(
    engine: PgvectorEngine, pgvector_server: Postgres, pgvector_url: str
) -> None:
    await filled(engine, 999)
    await engine.rest(KEY)
    await engine.rested()
    assert indexes(pgvector_server, pgvector_url) == []
    exact = [await engine.query(KEY, probe) for probe in PROBES]
    await engine.apply(KEY, [Upsert([Point("00000000-0000-5000-8000-00000000ffff", {"kind": "document"})])])
    await engine.rest(KEY)
    await engine.rested()
    assert len(indexes(pgvector_server, pgvector_url)) == 1
    assert indexes(pgvector_server, pgvector_url)[0].endswith("|t")
    for probe, before in zip(PROBES, exact, strict=True):
        found = await engine.query(KEY, probe)
        ids = {point for point, _ in found.found[Signal.DENSE]}
        assert len(ids & {point for point, _ in before.found[Signal.DENSE]}) >= 0.9 * probe.limit
        assert found.found[Signal.LEXICAL] == before.found[Signal.LEXICAL]


async def test_the_planner_searches_by_the_index(
    engine: PgvectorEngine, pgvector_server: Postgres, pgvector_url: str
) -> None:
    await filled(engine, 1500)
    await engine.rest(KEY)
    await engine.rested()
    scans = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname LIKE '%_dense'"
    before = int(pgvector_server.sql(scans, database(pgvector_url)))
    for _ in range(12):  # more often than the planner makes a plan for one query alone
        await engine.query(KEY, PROBES[0])

    def counted() -> bool:
        return int(pgvector_server.sql(scans, database(pgvector_url))) >= before + 12

    await engine.aclose()  # a connection that ends tells what it has counted
    await until(counted)


async def test_a_filter_that_leaves_few_of_the_nearest_gets_as_many_as_it_asked_for(
    engine: PgvectorEngine, pgvector_server: Postgres, pgvector_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = database(pgvector_url)
    pgvector_server.sql(f"ALTER DATABASE {name} SET enable_seqscan = off")  # of so few it would compare all anyway
    monkeypatch.setattr(search, "LOOKED_AT_FILTERED", 200)
    await filled(engine, 1000)
    await engine.rest(KEY)
    await engine.rested()
    everything = {point.id: float(point.dense @ vectors(3)[2]) for point in points(1000) if point.dense is not None}
    rare = sorted((point.id for point in points(1000) if point.payload["media_type"] == "rare"), key=everything.get)  # type: ignore[arg-type]  # all are there
    found = await engine.query(KEY, StoreQuery(vectors(3)[2], None, RARE, 20))
    assert [point for point, _ in found.found[Signal.DENSE]] == rare[::-1][:20]


async def test_an_index_that_was_broken_off_is_made_anew(
    engine: PgvectorEngine, pgvector_server: Postgres, pgvector_url: str
) -> None:
    await filled(engine, 1000)
    await engine.rest(KEY)
    await engine.rested()
    invalid = "UPDATE pg_index SET indisvalid = false WHERE indexrelid::regclass::text LIKE '%_dense'"
    pgvector_server.sql(invalid, database(pgvector_url))
    assert indexes(pgvector_server, pgvector_url)[0].endswith("|f")
    await engine.rest(KEY)
    await engine.rested()
    assert [each.rpartition("|")[2] for each in indexes(pgvector_server, pgvector_url)] == ["t"]


async def test_a_collection_is_dropped_while_it_is_indexed(
    engine: PgvectorEngine, pgvector_server: Postgres, pgvector_url: str
) -> None:
    await filled(engine, 1500)
    await engine.rest(KEY)
    await engine.drop(KEY)
    await engine.rested()
    assert await engine.names("acme") == []
    left = "SELECT count(*) FROM pg_class WHERE relname LIKE 'retrieval_points%'"
    assert pgvector_server.sql(left, database(pgvector_url)) == "0"


async def test_a_deleted_or_replaced_point_is_found_by_no_term(
    engine: PgvectorEngine, pgvector_server: Postgres, pgvector_url: str
) -> None:
    await filled(engine, 30)
    first, second, *_ = points(30)
    await engine.apply(KEY, [Upsert([Point(first.id, first.payload, first.dense, passage_vector("ship"))])])
    await engine.apply(KEY, [Remove(ids=[second.id])])
    wanted = query_vector("WF-0000 WF-0001")
    found = await engine.query(KEY, StoreQuery(None, wanted, DocumentFilter(), 30))
    assert not {first.id, second.id} & {point for point, _ in found.found[Signal.LEXICAL]}
    orphans = (
        "SELECT count(*) FROM retrieval_terms_1_0 t WHERE NOT EXISTS "
        "(SELECT FROM retrieval_points_1_0 p WHERE p.number = t.point)"
    )
    assert pgvector_server.sql(orphans, database(pgvector_url)) == "0"


async def test_several_operations_are_done_together_or_not_at_all(engine: PgvectorEngine) -> None:
    await filled(engine, 3)
    broken = Point("00000000-0000-5000-8000-0000000000aa", {"kind": "x"}, np.zeros(3, dtype=np.float32))
    with pytest.raises(Exception, match="dimensions"):
        await engine.apply(KEY, [Remove(where=EVERYTHING), Upsert([broken])])
    assert await engine.count(KEY, EVERYTHING) == 3


async def test_what_is_dumped_and_restored_is_searched_and_written_as_before(
    engine: PgvectorEngine, pgvector_server: Postgres, pgvector_url: str, tmp_path: Path
) -> None:
    await filled(engine, 1000)
    await engine.rest(KEY)
    await engine.rested()
    found = await engine.query(KEY, PROBES[1])
    name = pgvector_server.new_database()
    pgvector_server.copy(database(pgvector_url), name, tmp_path)
    restored = PgvectorEngine(pgvector_server.url(name), seconds=20)
    assert (await restored.query(KEY, PROBES[1])).found[Signal.LEXICAL] == found.found[Signal.LEXICAL]
    assert len(indexes(pgvector_server, pgvector_server.url(name))) == 1
    await restored.apply(KEY, [Upsert(points(1001)[1000:])])
    assert await restored.count(KEY, EVERYTHING) == 1001
    await restored.aclose()
    pgvector_server.drop(name)


async def test_replicas_see_what_each_other_did(pgvector_url: str, engine: PgvectorEngine) -> None:
    other = PgvectorEngine(pgvector_url, seconds=5)
    await filled(engine, 5)
    assert await other.count(KEY, EVERYTHING) == 5
    await other.drop(KEY)
    with pytest.raises(CollectionNotFound):
        await engine.count(KEY, EVERYTHING)
    await other.create(KEY, ABOUT)
    assert await engine.count(KEY, EVERYTHING) == 0
    await other.aclose()


async def test_replicas_that_write_the_same_points_do_not_stop_each_other(
    pgvector_url: str, engine: PgvectorEngine
) -> None:
    other = PgvectorEngine(pgvector_url, seconds=5)
    await filled(engine, 40)
    forth, back = points(40), points(40)[::-1]
    work = [
        each.apply(KEY, [Upsert(order), Amend({"seen": n}, where=EVERYTHING), Remove(ids=[order[0].id])])
        for n in range(10)
        for each, order in ((engine, forth), (other, back))
    ]
    await asyncio.gather(*work)
    assert await engine.count(KEY, EVERYTHING) in (38, 39)
    await other.aclose()


async def test_two_that_start_at_once_on_an_empty_database(pgvector_server: Postgres) -> None:
    name = pgvector_server.new_database()
    engines = [PgvectorEngine(pgvector_server.url(name), seconds=20) for _ in range(2)]
    assert await asyncio.gather(*(each.ready() for each in engines)) == [True, True]
    for each in engines:
        await each.aclose()
    pgvector_server.drop(name)


async def test_a_database_that_is_gone_is_unavailable_until_it_is_back(
    pgvector_server: Postgres, pgvector_url: str, engine: PgvectorEngine
) -> None:
    await filled(engine, 3)
    pgvector_server.stop()
    assert not await engine.ready()
    for work in (engine.about(KEY), engine.query(KEY, PROBES[0]), engine.apply(KEY, [Remove(where=EVERYTHING)])):
        with pytest.raises(StoreUnavailable):
            await work
    pgvector_server.start()
    assert await engine.ready()
    assert await engine.count(KEY, EVERYTHING) == 3


async def test_a_database_that_hangs_is_unavailable_in_time(
    pgvector_server: Postgres, pgvector_url: str, engine: PgvectorEngine
) -> None:
    await filled(engine, 3)
    hasty = PgvectorEngine(pgvector_url, seconds=0.5)
    assert await hasty.ready()
    pgvector_server.pause()
    try:
        with pytest.raises(StoreUnavailable):
            await hasty.about(KEY)
    finally:
        pgvector_server.resume()
    assert (await hasty.about(KEY)).max_chars == ABOUT.max_chars
    await hasty.aclose()


async def test_a_server_that_starts_later_is_waited_for(pgvector_server: Postgres, pgvector_url: str) -> None:
    pgvector_server.stop()
    engine = PgvectorEngine(pgvector_url, seconds=5)
    assert not await engine.ready()
    pgvector_server.start()
    assert await engine.ready()
    await engine.aclose()


async def test_a_database_without_the_extension_says_so(postgres_url: str) -> None:
    engine = PgvectorEngine(postgres_url, seconds=20)
    with pytest.raises(StoreUnavailable, match="CREATE EXTENSION vector"):
        await PointStore(engine).create(KEY, 1200)
    assert not await engine.ready()
    await engine.aclose()


@pytest.mark.parametrize("text", ["a\0b", "\0\0", "\\\0", "\\u0000", "\\\\u0000", "ä\\", "plain"])
def test_what_the_database_cannot_hold_comes_back(text: str) -> None:
    written = dumped({text: [text]})
    assert "\\u0000" not in written.replace("\\\\", "")
    assert loaded(written) == {text: [text]}


async def test_any_text_is_kept_and_matched(engine: PgvectorEngine) -> None:
    await engine.create(KEY, ABOUT)
    await engine.apply(
        KEY, [Upsert([Point(points(1)[0].id, {"kind": "x", "document_id": "a\0'\"\\%", "labels": ["k\0"]})])]
    )
    for where in (Where([("document_id", ["a\0'\"\\%"])]), Where([("labels", ["k\0"])])):
        ((_, payload),) = await engine.scroll(KEY, where)
        assert payload["document_id"] == "a\0'\"\\%"


def test_settings_name_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="pgvector_url"):
        RetrievalSettings(store="pgvector")
    url = "postgresql://me@db/x"
    assert RetrievalSettings(store="pgvector", records_url=url).points == url
    assert RetrievalSettings(store="pgvector", pgvector_url="postgresql://me@db/y", records_url=url).points.endswith(
        "y"
    )
