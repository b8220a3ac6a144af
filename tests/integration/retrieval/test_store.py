"""What every store must do, whichever engine is below it.

The part of Qdrant's server runs against the client's own local mode, and against a server where
HEADWORKS_TEST_QDRANT_URL names one; that of PostgreSQL against the one of the wheel pgserver.
"""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient, models

from services.retrieval.errors import CollectionExists, StoreLocked
from services.retrieval.language.words import identifier_vector, passage_vector, query_vector
from services.retrieval.model import (
    READING,
    CollectionKey,
    Condition,
    Document,
    DocumentFilter,
    Groups,
    NumberRange,
    Passage,
    PassageRecord,
    Sentences,
    Signal,
    StoreQuery,
)
from services.retrieval.store import codec, edge_shard
from services.retrieval.store.base import VectorStore
from services.retrieval.store.engine import Point, Upsert, VectorEngine
from services.retrieval.store.pgvector.engine import PgvectorEngine
from services.retrieval.store.points import PointStore
from services.retrieval.store.qdrant_edge import EdgeEngine
from services.retrieval.store.qdrant_server import ServerEngine
from services.runtime.embedders import MINILM
from services.runtime.errors import CollectionNotFound
from services.runtime.language.identifiers import identifiers
from tests.fakes.retrieval import vector_of
from tests.fakes.serving import until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
]

SERVER = os.environ.get("HEADWORKS_TEST_QDRANT_URL", "")
TENANT = f"acme-{uuid.uuid4().hex[:8]}"
KEY = CollectionKey(TENANT, "docs")
ALL = DocumentFilter()


@pytest.fixture(params=["edge", "local", "pgvector", *(["server"] if SERVER else [])])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[VectorStore]:
    match request.param:
        case "edge":
            engine: VectorEngine = EdgeEngine(tmp_path, threads=2)
        case "local":
            engine = ServerEngine(AsyncQdrantClient(":memory:"))
        case "pgvector":
            engine = PgvectorEngine(request.getfixturevalue("pgvector_url"))
        case _:
            engine = ServerEngine.connect(SERVER, "")
    store = PointStore(engine)
    await store.create(KEY, 1200)
    yield store
    for tenant in (TENANT, "other"):
        for name in await store.collections(tenant):
            await store.drop(CollectionKey(tenant, name))
    await store.aclose()


def document(document_id: str, passages: int, content_hash: str = "1", **fields: object) -> Document:
    record = Document(
        id=document_id,
        uri=f"file:///{document_id}",
        title=document_id.upper(),
        media_type="text/plain",
        content_hash=content_hash,
        size_bytes=10,
        passage_count=passages,
        update_time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        metadata={},
    )
    return replace(record, **fields)  # type: ignore[arg-type]


def entries(of: Document, texts: Sequence[str], first: int = 0) -> list[PassageRecord]:
    return [
        PassageRecord(
            passage=Passage(
                id=codec.passage_id(of.id, of.version, index),
                document_id=of.id,
                title=of.title,
                uri=of.uri,
                headings=["Top", "Sub"],
                index=index,
                span=(index * 100, index * 100 + len(text)),
                text=text,
            ),
            dense=vector_of(text),
            lexical=passage_vector(text),
            sentences=Sentences([(0, len(text))], bytes(range(256)) + bytes(128)),
        )
        for index, text in enumerate(texts, first)
    ]


async def put(store: VectorStore, document_id: str, *texts: str, content_hash: str = "1", **fields: object) -> Document:
    record = document(document_id, len(texts), content_hash, **fields)
    await store.commit(KEY, record, entries(record, texts))
    return record


def is_(document_id: str) -> Condition:
    return Condition("document_id", [document_id])


def within(**bounds: float) -> DocumentFilter:
    return DocumentFilter([Condition("metadata.x.y", range=NumberRange(**bounds))])


def probe(
    query: str, given: DocumentFilter = ALL, limit: int = 10, *, dense: bool = True, lexical: bool = True
) -> StoreQuery:
    return StoreQuery(vector_of(query) if dense else None, query_vector(query) if lexical else None, given, limit)


async def found(store: VectorStore, asked: StoreQuery) -> set[str]:
    candidates = await store.candidates(KEY, asked)
    ids = [passage_id for scored in candidates.found.values() for passage_id, _ in scored]
    return {passage.document_id for passage, _ in (await store.fetch(KEY, ids, False)).values()}


async def texts_of(store: VectorStore, document_id: str) -> list[str]:
    return [passage.text for passage in await store.passages(KEY, document_id)]


class TestCollections:
    async def test_are_created_listed_and_dropped(self, store: VectorStore) -> None:
        created = await store.create(CollectionKey(TENANT, "alpha"), 300)
        assert await store.collections(TENANT) == ["alpha", "docs"]
        described = await store.describe(CollectionKey(TENANT, "alpha"))
        assert described == created
        assert (await store.current(CollectionKey(TENANT, "alpha"))).max_chars == 300
        await store.drop(CollectionKey(TENANT, "alpha"))
        assert await store.collections(TENANT) == ["docs"]

    async def test_cannot_be_created_twice(self, store: VectorStore) -> None:
        with pytest.raises(CollectionExists):
            await store.create(KEY, 500)
        assert (await store.current(KEY)).max_chars == 1200

    async def test_count_what_they_hold(self, store: VectorStore) -> None:
        await put(store, "a", "one", "two")
        await put(store, "b", "three")
        described = await store.describe(KEY)
        assert (described.document_count, described.passage_count) == (2, 3)

    async def test_start_empty_after_a_drop(self, store: VectorStore) -> None:
        await put(store, "a", "water")
        await store.drop(KEY)
        await store.create(KEY, 1200)
        assert (await store.describe(KEY)).passage_count == 0
        assert await found(store, probe("water")) == set()

    async def test_move_while_they_have_more_generations_than_one(self, store: VectorStore) -> None:
        await store.create(CollectionKey("other", "docs"), 900)
        seen = [await self._moving(store)]
        for _ in range(2):
            old, fresh = await store.current(KEY), await store.extend(KEY, MINILM.name)
            seen.append(await self._moving(store))
            await store.switch(fresh)
            seen.append(await self._moving(store))
            await store.retire(old)
            seen.append(await self._moving(store))
        assert seen == [[], *[[KEY], [KEY], []] * 2]

    async def _moving(self, store: VectorStore) -> list[CollectionKey]:
        return [key for key in await store.moving() if key.tenant in (TENANT, "other")]

    async def test_of_tenants_are_apart(self, store: VectorStore) -> None:
        other = CollectionKey("other", "docs")
        await store.create(other, 1200)
        await put(store, "a", "water")
        assert await store.document(other, "a") is None
        assert (await store.describe(other)).document_count == 0
        assert await store.collections("other") == ["docs"]

    @pytest.mark.parametrize(
        "call",
        [
            lambda store, key: store.describe(key),
            lambda store, key: store.current(key),
            lambda store, key: store.drop(key),
            lambda store, key: store.document(key, "a"),
            lambda store, key: store.document_ids(key),
            lambda store, key: store.candidates(key, probe("water")),
            lambda store, key: store.commit(key, document("a", 0), []),
            lambda store, key: store.delete(key, ["a"]),
        ],
    )
    async def test_that_are_not_there_are_not_found(self, store: VectorStore, call) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(CollectionNotFound):
            await call(store, CollectionKey(TENANT, "nowhere"))


class TestDocuments:
    async def test_come_back_as_they_were(self, store: VectorStore) -> None:
        record = await put(store, "a/ü.txt", "one", "two", metadata={"lang": "en", 'k."[0]': "ä"})
        assert await store.document(KEY, "a/ü.txt") == record
        assert await store.document(KEY, "b") is None

    async def test_are_listed_in_the_order_of_their_ids(self, store: VectorStore) -> None:
        for name in ("b", "a/2", "ä", "a/10", "B"):
            await put(store, name, "text")
        ids = await store.document_ids(KEY)
        assert ids == sorted(ids) == ["B", "a/10", "a/2", "b", "ä"]
        records = await store.documents(KEY, ["ä", "gone", "B"])
        assert [record.id for record in records] == ["ä", "B"]

    async def test_have_their_passages_in_order(self, store: VectorStore) -> None:
        texts = [f"passage {number}" for number in range(40)]
        await put(store, "a", *texts)
        await put(store, "b", "other")
        passages = await store.passages(KEY, "a")
        assert [passage.text for passage in passages] == texts
        assert (passages[3].index, passages[3].span, passages[3].headings) == (3, (300, 309), ["Top", "Sub"])

    async def test_are_deleted_with_their_passages(self, store: VectorStore) -> None:
        await put(store, "a", "water")
        await put(store, "b", "water")
        await store.delete(KEY, ["a"])
        assert await store.document_ids(KEY) == ["b"]
        assert await texts_of(store, "a") == []
        assert await found(store, probe("water")) == {"b"}

    async def test_are_replaced(self, store: VectorStore) -> None:
        await put(store, "a", "old water", "old land", "old sky")
        await put(store, "a", "new water", "new land", content_hash="2")
        assert await texts_of(store, "a") == ["new water", "new land"]
        described = await store.describe(KEY)
        assert (described.document_count, described.passage_count) == (1, 2)

    async def test_keep_passages_when_the_type_alone_changes(self, store: VectorStore) -> None:
        await put(store, "a", "water", "land", "sky")
        await put(store, "a", "water and land", media_type="text/markdown")
        assert await texts_of(store, "a") == ["water and land"]

    async def test_get_new_labels_without_new_passages(self, store: VectorStore) -> None:
        record = await put(store, "a", "water", metadata={"lang": "en"})
        labelled = replace(record, title="New", uri="u", metadata={"lang": "de"})
        await store.relabel(KEY, labelled)
        assert await store.document(KEY, "a") == labelled
        (passage,) = await store.passages(KEY, "a")
        assert (passage.title, passage.uri) == ("New", "u")
        assert await found(store, probe("water", DocumentFilter([Condition("metadata.lang", ["de"])]))) == {"a"}
        assert await found(store, probe("water", DocumentFilter([Condition("metadata.lang", ["en"])]))) == set()


class TestWritingInParts:
    async def test_shows_the_old_version_until_the_commit(self, store: VectorStore) -> None:
        await put(store, "a", "old")
        newer = document("a", 2, "2")
        await store.begin(KEY, "a")
        await store.write(KEY, newer, entries(newer, ["first"]))
        assert await texts_of(store, "a") == ["old"]
        record = await store.document(KEY, "a")
        assert record
        assert record.content_hash == "1"
        await store.commit(KEY, newer, entries(newer, ["second"], 1))
        assert await texts_of(store, "a") == ["first", "second"]
        assert (await store.describe(KEY)).passage_count == 2

    async def test_leaves_the_old_version_when_broken_off(self, store: VectorStore) -> None:
        await put(store, "a", "old")
        newer = document("a", 2, "2")
        await store.begin(KEY, "a")
        await store.write(KEY, newer, entries(newer, ["first"]))
        await store.settle(KEY, "a")
        assert await texts_of(store, "a") == ["old"]
        assert (await store.describe(KEY)).passage_count == 1

    async def test_leaves_nothing_of_a_new_document_when_broken_off(self, store: VectorStore) -> None:
        newer = document("a", 2)
        await store.begin(KEY, "a")
        await store.write(KEY, newer, entries(newer, ["first"]))
        await store.settle(KEY, "a")
        assert (await store.describe(KEY)).passage_count == 0
        assert await store.document(KEY, "a") is None


class TestQueries:
    async def test_score_each_signal_by_itself(self, store: VectorStore) -> None:
        await put(store, "a", "the gate opens upward")
        await put(store, "b", "bread is baked in ovens")
        candidates = await store.candidates(KEY, probe("gate opens"))
        dense, lexical = candidates.found[Signal.DENSE], candidates.found[Signal.LEXICAL]
        best = codec.passage_id("a", document("a", 1).version, 0)
        assert dense[0][0] == best
        assert dense[0][1] == pytest.approx(float(vector_of("gate opens") @ vector_of("the gate opens upward")))
        assert [passage_id for passage_id, _ in lexical] == [best]
        assert lexical[0][1] > 0
        assert len(dense) == 2

    async def test_score_what_the_other_signal_found(self, store: VectorStore) -> None:
        await put(store, "a", "gate gate gate")
        await put(store, "b", "a gate and much else besides that nobody asked for")
        candidates = await store.candidates(KEY, probe("gate", limit=1))
        ids = {passage_id for scored in candidates.found.values() for passage_id, _ in scored}
        for signal in (Signal.DENSE, Signal.LEXICAL):
            assert ids <= {*dict(candidates.found[signal]), *candidates.also[signal]}

    async def test_weigh_rare_words_more(self, store: VectorStore) -> None:
        for number in range(8):
            await put(store, f"w{number}", "water everywhere")
        await put(store, "rare", "turbine everywhere")
        candidates = await store.candidates(KEY, probe("water turbine", dense=False))
        fetched = await store.fetch(KEY, [candidates.found[Signal.LEXICAL][0][0]], False)
        assert [passage.document_id for passage, _ in fetched.values()] == ["rare"]

    async def test_find_what_holds_an_identifier(self, store: VectorStore) -> None:
        await put(store, "whole", "ink of the WF-M5799")
        await put(store, "longer", "ink of the WF-M5799DWF")
        await put(store, "other", "ink of the WF-M5798", "a printer and its ink")
        wanted = identifiers("WF-M5799")
        looked_for = [identifier_vector(identifier) for identifier in wanted]
        asked = replace(probe("printer ink", limit=2), exact=looked_for)
        candidates = await store.candidates(KEY, asked)
        (held,) = candidates.exact
        fetched = await store.fetch(KEY, [passage_id for passage_id, _ in held], False)
        assert [fetched[passage_id][0].document_id for passage_id, _ in held] == ["whole", "longer"]
        for signal in (Signal.DENSE, Signal.LEXICAL):
            assert {passage_id for passage_id, _ in held} <= {
                *dict(candidates.found[signal]),
                *candidates.also[signal],
            }

    async def test_count_what_is_indexed_in_an_older_way(self, store: VectorStore) -> None:
        await put(store, "old", "water", reading=READING - 1)
        await put(store, "new", "water")
        described = await store.describe(KEY)
        assert (described.document_count, described.outdated_count) == (2, 1)
        old = await store.document(KEY, "old")
        assert old is not None
        assert (old.reading, len(await store.passages(KEY, "old"))) == (READING - 1, 1)

    async def test_use_only_the_signals_given(self, store: VectorStore) -> None:
        await put(store, "a", "water")
        assert set((await store.candidates(KEY, probe("water", lexical=False))).found) == {Signal.DENSE}
        assert set((await store.candidates(KEY, probe("water", dense=False))).found) == {Signal.LEXICAL}
        assert (await store.candidates(KEY, probe("the of", dense=False))).found == {}

    async def test_give_at_most_the_limit(self, store: VectorStore) -> None:
        await put(store, "a", *(f"water {number}" for number in range(20)))
        candidates = await store.candidates(KEY, probe("water", limit=7))
        assert [len(scored) for scored in candidates.found.values()] == [7, 7]

    async def test_find_nothing_in_an_empty_collection(self, store: VectorStore) -> None:
        assert await found(store, probe("water")) == set()

    async def test_fetch_sentences_when_asked(self, store: VectorStore) -> None:
        await put(store, "a", "water")
        passage_id = codec.passage_id("a", document("a", 1).version, 0)
        fetched = await store.fetch(KEY, [passage_id, codec.passage_id("b", "", 0)], True)
        assert list(fetched) == [passage_id]
        assert fetched[passage_id][1] == Sentences([(0, 5)], bytes(range(256)) + bytes(128))
        assert (await store.fetch(KEY, [passage_id], False))[passage_id][1] is None

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (DocumentFilter(), {"a", "b", "c"}),
            (DocumentFilter([Condition("document_id", ["a", "c"])]), {"a", "c"}),
            (DocumentFilter([Condition("media_type", ["text/html"])]), {"c"}),
            (DocumentFilter([Condition("metadata.lang", ["en"])]), {"a", "b"}),
            (DocumentFilter([Condition("metadata.lang", ["en"]), Condition("metadata.x.y", ["1"])]), {"b"}),
            (DocumentFilter((), [Condition("metadata.lang", ["en"])]), {"c"}),
            (DocumentFilter((), [Condition("document_id", ["a"]), Condition("document_id", ["b"])]), {"c"}),
            (DocumentFilter([Condition("metadata.lang", ["en"])], [Condition("document_id", ["a"])]), {"b"}),
            (DocumentFilter([Condition("metadata.nothing", ["en"])]), set()),
            (DocumentFilter(any=[DocumentFilter([is_("a")]), DocumentFilter([is_("c")])]), {"a", "c"}),
            (DocumentFilter([is_("b")], any=[DocumentFilter([is_("a")]), DocumentFilter([is_("c")])]), set()),
            (DocumentFilter(any=[DocumentFilter([is_("a")]), DocumentFilter((), [is_("c")])]), {"a", "b"}),
            (DocumentFilter(any=[DocumentFilter(any=[DocumentFilter([is_("b")])])]), {"b"}),
            (DocumentFilter(any=[DocumentFilter()]), {"a", "b", "c"}),
            (within(gt=1), {"c"}),
            (within(gte=1), {"b", "c"}),
            (within(gte=1, lt=2.5), {"b"}),
            (within(lte=2.5), {"b", "c"}),
            (DocumentFilter((), [Condition("metadata.x.y", range=NumberRange(gt=1))]), {"a", "b"}),
        ],
    )
    async def test_filter(self, store: VectorStore, given: DocumentFilter, expected: set[str]) -> None:
        await put(store, "a", "water", metadata={"lang": "en"})
        await put(store, "b", "water", metadata={"lang": "en", "x.y": "1"})
        await put(store, "c", "water", metadata={"lang": "de", "x.y": "2.5"}, media_type="text/html")
        assert await found(store, probe("water", given)) == expected
        assert await found(store, probe("water", given, dense=False)) == expected

    async def test_relabelled_numbers_are_the_new_ones(self, store: VectorStore) -> None:
        record = await put(store, "a", "water", metadata={"size": "1", "age": "7"})
        await store.relabel(KEY, replace(record, metadata={"size": "3"}))
        for field, expected in (("size", {"a"}), ("age", set())):
            given = DocumentFilter([Condition(f"metadata.{field}", range=NumberRange(gt=1))])
            assert await found(store, probe("water", given)) == expected


class TestAccess:
    """Lists of who may read a document, on every engine."""

    @pytest.mark.parametrize(
        ("groups", "expected"),
        [
            (None, {"open", "staff", "both"}),
            ((), {"open"}),
            (("guests",), {"open"}),
            (("staff",), {"open", "staff", "both"}),
            (("hr",), {"open", "both"}),
            (("guests", "hr"), {"open", "both"}),
            ((codec.LISTED,), {"open"}),
        ],
        ids=["all", "in-none", "guests", "staff", "hr", "two", "the-mark"],
    )
    async def test_a_caller_sees_what_its_groups_may_read(
        self, store: VectorStore, groups: Groups, expected: set[str]
    ) -> None:
        await put(store, "open", "water")
        await put(store, "staff", "water", access_groups=("staff",))
        await put(store, "both", "water", "dam", access_groups=("hr", "staff"))
        mine = DocumentFilter(groups=groups)
        assert await found(store, probe("water", mine)) == expected
        assert await found(store, probe("water", mine, dense=False)) == expected
        assert await found(store, probe("water", mine, lexical=False)) == expected
        narrowed = DocumentFilter(any=[DocumentFilter([is_("both")]), DocumentFilter([is_("staff")])], groups=groups)
        assert await found(store, probe("water", narrowed)) == expected - {"open"}
        assert set(await store.document_ids(KEY, groups)) == expected
        assert set(await store.update_times(KEY, groups)) == expected
        described = await store.describe(KEY, groups)
        passages = len(expected) + ("both" in expected)
        assert (described.document_count, described.passage_count) == (len(expected), passages)

    async def test_the_list_is_on_record_and_can_be_changed(self, store: VectorStore) -> None:
        record = await put(store, "a", "water", access_groups=("hr", "staff"))
        assert await store.document(KEY, "a") == record
        await store.relabel(KEY, replace(record, access_groups=("guests",)))
        assert await found(store, probe("water", DocumentFilter(groups=("hr",)))) == set()
        assert await found(store, probe("water", DocumentFilter(groups=("guests",)))) == {"a"}
        await store.relabel(KEY, replace(record, access_groups=()))
        assert await found(store, probe("water", DocumentFilter(groups=()))) == {"a"}

    async def test_only_the_best_that_may_be_read_are_counted_to_the_limit(self, store: VectorStore) -> None:
        for number in range(20):
            await put(store, f"secret-{number}", "water", access_groups=("hr",))
        await put(store, "open", "water and much else that is less alike")
        assert await found(store, probe("water", DocumentFilter(groups=()), limit=3)) == {"open"}


class Counted(AsyncQdrantClient):
    """A client that counts how often the schema of a collection is fetched."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.fetched: list[str] = []

    async def get_collection(self, collection_name: str, **more: Any) -> models.CollectionInfo:
        self.fetched.append(collection_name)
        return await super().get_collection(collection_name, **more)


class TestServer:
    async def test_fetches_the_schema_of_each_collection_that_it_makes_once(self) -> None:
        client = Counted()
        store = PointStore(ServerEngine(client))
        await store.create(KEY, 700)
        await put(store, "a", "one")
        fresh = await store.extend(KEY, MINILM.name)
        await store.begin(fresh, "a")
        await store.retire(fresh)
        await store.begin(await store.extend(KEY, MINILM.name), "a")
        first, second = f"{TENANT}__docs", f"{TENANT}__docs@1"
        assert client.fetched == [first, second, second]
        await store.aclose()


class TestEdge:
    """What the engine in this process does besides."""

    async def test_what_an_earlier_version_wrote_is_everybodys_and_indexed_when_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = [name for name in codec.INDEXED if name != "access"]
        monkeypatch.setattr(codec, "INDEXED", before)
        engine = EdgeEngine(tmp_path, threads=1)
        store = PointStore(engine)
        await store.create(KEY, 700)
        record = document("old", 1)
        entry = entries(record, ["water"])[0]
        payload = codec.passage_payload(entry, record)
        for later in ("access", "numbers"):
            del payload[later]
        await engine.apply(KEY, [Upsert([Point(entry.passage.id, payload, entry.dense, entry.lexical)])])
        await store.aclose()
        monkeypatch.undo()
        engine = EdgeEngine(tmp_path, threads=1)
        store = PointStore(engine)
        assert await found(store, probe("water", DocumentFilter(groups=()))) == {"old"}
        fields = await engine._call(KEY, lambda shard: shard.fields)
        assert fields == set(codec.INDEXED)
        await store.aclose()

    async def test_keeps_everything_over_a_restart(self, tmp_path: Path) -> None:
        store = PointStore(EdgeEngine(tmp_path, threads=1))
        await store.create(KEY, 700)
        record = await put(store, "a", "water")
        await store.aclose()
        again = PointStore(EdgeEngine(tmp_path, threads=1))
        assert await again.document(KEY, "a") == record
        assert (await again.current(KEY)).max_chars == 700
        assert await found(again, probe("water")) == {"a"}
        await again.aclose()

    async def test_searches_old_collections_by_as_many_threads_as_new_ones(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(edge_shard, "SEARCH_THREADS", 3)
        store = PointStore(EdgeEngine(tmp_path, threads=1))
        await store.create(KEY, 700)
        await put(store, "a", "water")
        await store.aclose()
        monkeypatch.undo()
        again = PointStore(EdgeEngine(tmp_path, threads=1))
        assert await found(again, probe("water")) == {"a"}
        (settings_file,) = await asyncio.to_thread(lambda: list(tmp_path.rglob("edge_config.json")))
        settings = json.loads(settings_file.read_text())
        assert settings["max_search_threads"] == edge_shard.SEARCH_THREADS == 1
        await again.aclose()

    async def test_refuses_a_folder_in_use(self, tmp_path: Path) -> None:
        engine = EdgeEngine(tmp_path, threads=1)
        with pytest.raises(StoreLocked, match="another process"):
            EdgeEngine(tmp_path, threads=1)
        await engine.aclose()
        await EdgeEngine(tmp_path, threads=1).aclose()

    async def test_settles_at_its_start_what_was_broken_off(self, tmp_path: Path) -> None:
        store = PointStore(EdgeEngine(tmp_path, threads=1))
        await store.create(KEY, 700)
        await put(store, "a", "old")
        newer = document("a", 2, "2")
        await store.begin(KEY, "a")
        await store.write(KEY, newer, entries(newer, ["half"]))
        await store.aclose()
        again = PointStore(EdgeEngine(tmp_path, threads=1))
        await again.recover()
        assert (await again.describe(KEY)).passage_count == 1
        assert await texts_of(again, "a") == ["old"]
        await again.aclose()

    async def test_ignores_a_folder_half_made(self, tmp_path: Path) -> None:
        store = PointStore(EdgeEngine(tmp_path, threads=1))
        (tmp_path / codec.tenant_name(TENANT) / "half" / "shard").mkdir(parents=True)
        assert await store.collections(TENANT) == []
        await store.create(CollectionKey(TENANT, "half"), 500)
        assert await store.collections(TENANT) == ["half"]
        await store.aclose()

    async def test_indexes_a_copy_and_puts_it_in_place(self, tmp_path: Path) -> None:
        store = PointStore(EdgeEngine(tmp_path, threads=2, index_from=1))
        await store.create(KEY, 700)
        await put(store, "a", "water")
        await store.rest(KEY)
        await store.rest(KEY)
        folder = tmp_path / codec.tenant_name(TENANT) / "docs"
        await until(lambda: (folder / "shard1").exists() and not (folder / "shard").exists(), 20)
        assert await found(store, probe("water")) == {"a"}
        await put(store, "b", "water")
        await store.aclose()
        again = PointStore(EdgeEngine(tmp_path, threads=2))
        assert await found(again, probe("water")) == {"a", "b"}
        await again.aclose()

    async def test_drops_the_copy_when_there_is_a_write(self, tmp_path: Path) -> None:
        store = PointStore(EdgeEngine(tmp_path, threads=2, index_from=1))
        await store.create(KEY, 700)
        await put(store, "a", "water")
        await store.rest(KEY)
        folder = tmp_path / codec.tenant_name(TENANT) / "docs"
        await until((folder / "shard1").exists)
        await put(store, "b", "water")
        await until(lambda: not (folder / "shard1").exists(), 20)
        assert await found(store, probe("water")) == {"a", "b"}
        await store.aclose()

    async def test_ends_while_it_indexes(self, tmp_path: Path) -> None:
        store = PointStore(EdgeEngine(tmp_path, threads=2, index_from=1))
        await store.create(KEY, 700)
        await put(store, "a", "water")
        await store.rest(KEY)
        await until((tmp_path / codec.tenant_name(TENANT) / "docs" / "shard1").exists)
        await store.aclose()
        again = PointStore(EdgeEngine(tmp_path, threads=2))
        assert await found(again, probe("water")) == {"a"}
        await again.aclose()

    async def test_drops_while_others_read(self, tmp_path: Path) -> None:
        store = PointStore(EdgeEngine(tmp_path, threads=4))
        await store.create(KEY, 700)
        await put(store, "a", *(f"water {number}" for number in range(300)))
        reads = [asyncio.create_task(found(store, probe("water"))) for _ in range(50)]
        await asyncio.sleep(0.002)
        await store.drop(KEY)
        for outcome in await asyncio.gather(*reads, return_exceptions=True):
            assert outcome == {"a"} or outcome == set() or isinstance(outcome, CollectionNotFound)
        await store.aclose()


@pytest.mark.parametrize("tenant", ["a__b", "a_", "../x", "A", "", "x" * 70, "a/b", "~" + "0" * 40])
def test_odd_tenants_get_names_of_their_own(tenant: str) -> None:
    name = codec.tenant_name(tenant)
    assert name != tenant
    assert "__" not in name
    assert "/" not in name
    assert not name.endswith("_")


@pytest.mark.parametrize("tenant", ["acme", "a-b_c", "0", "x" * 64])
def test_plain_tenants_keep_their_names(tenant: str) -> None:
    assert codec.tenant_name(tenant) == tenant
