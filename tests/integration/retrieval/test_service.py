"""Collections, documents and searches over a channel."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1.collection_pb2 import PassageSettings

from services.retrieval.errors import EmbedderUnavailable
from services.retrieval.language.words import passage_vector
from services.retrieval.model import CollectionKey, Document, Passage, PassageRecord, Sentences
from services.retrieval.store.codec import passage_id
from services.retrieval.store.points import PointStore
from services.retrieval.store.qdrant_edge import EdgeEngine
from tests.fakes.retrieval import FakeEmbedder, Served, served, vector_of

DOCUMENTS = {
    "dams.md": "# Dams\n\nA dam holds water back. It was built in 1907.\n\n## Gates\n\nA gate opens upward.",
    "bread.txt": "Bread is baked in a stone oven.",
    "水坝.txt": "水坝拦住了河水。闸门向上打开。",
}


@pytest.fixture
async def filled(service: Served) -> Served:
    await service.ingest(DOCUMENTS)
    return service


async def failed(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


class TestSearch:
    async def test_finds_the_passage(self, filled: Served) -> None:
        response = await filled.search("which gate opens?")
        hit = response.hits[0]
        assert (hit.passage.document_id, hit.passage.title) == ("dams.md", "Dams")
        assert list(hit.passage.headings) == ["Dams", "Gates"]
        whole = DOCUMENTS["dams.md"]
        assert whole[hit.passage.span.start : hit.passage.span.end] == hit.passage.text
        assert response.query_script == "latin"
        assert {timing.hop for timing in response.timings} == {"embed", "store"}
        assert not response.query_vector
        assert not hit.HasField("sentences")

    async def test_explains_its_scores(self, filled: Served) -> None:
        for hit in (await filled.search("water in 1907")).hits:
            assert hit.score == pytest.approx(sum(part.contribution for part in hit.signals), abs=1e-6)
            assert {part.signal for part in hit.signals} <= {"dense", "lexical"}
        assert {part.rank for part in (await filled.search("water 1907")).hits[0].signals} == {1}

    async def test_returns_embeddings_when_asked(self, filled: Served) -> None:
        response = await filled.search("built in 1907", include_embeddings=True)
        assert list(response.query_vector) == pytest.approx(vector_of("built in 1907").tolist())
        hit = response.hits[0]
        texts = [hit.passage.text[span.start : span.end] for span in hit.sentences.spans]
        assert texts == ["A dam holds water back.", "It was built in 1907."]
        vectors = np.frombuffer(hit.sentences.vectors, dtype=np.int8).reshape(len(texts), 384)
        assert (vectors[1] == np.rint(vector_of(texts[1]) * 127)).all()

    async def test_returns_sentences_with_their_scores_when_asked(self, filled: Served) -> None:
        response = await filled.search("built in 1907", include_sentences=True)
        hit = response.hits[0]
        assert not hit.HasField("sentences")
        assert not response.query_vector
        own = hit.sentence_scores
        texts = [hit.passage.text[start:end] for start, end in zip(own.starts, own.ends, strict=True)]
        assert texts == ["A dam holds water back.", "It was built in 1907."]
        near = [float(vector_of(text) @ vector_of("built in 1907")) for text in texts]
        assert list(own.scores) == pytest.approx(near, abs=0.01)

    async def test_goes_by_words_alone_while_the_embedder_is_gone(self, filled: Served, embedder: FakeEmbedder) -> None:
        assert not (await filled.search("built in 1907")).degraded
        embedder.error = EmbedderUnavailable("gone")
        response = await filled.search("built in 1907", include_sentences=True)
        assert response.degraded
        hit = response.hits[0]
        assert (hit.passage.document_id, [part.signal for part in hit.signals]) == ("dams.md", ["lexical"])
        assert (len(hit.sentence_scores.starts), list(hit.sentence_scores.scores)) == (2, [])

    async def test_reranks_where_it_is_asked_to(self, filled: Served) -> None:
        response = await filled.search("built in 1907", rerank=20)
        assert not response.not_reranked
        (rerank,) = [part for part in response.hits[0].signals if part.signal == "rerank"]
        assert (rerank.rank, rerank.score > 0, rerank.contribution > 0) == (1, True, True)
        assert "rerank" in [timing.hop for timing in response.timings]
        assert [each.weight > 0 for each in response.ranking.weights if each.signal == "rerank"] == [True]

    async def test_does_not_embed_what_the_model_cannot_read(self, filled: Served, embedder: FakeEmbedder) -> None:
        response = await filled.search("闸门怎么打开？", include_embeddings=True)
        assert response.hits[0].passage.document_id == "水坝.txt"
        assert response.query_script == "cjk"
        assert not response.query_vector
        assert embedder.queries == []

    @pytest.mark.parametrize(
        ("mode", "signals"),
        [
            (pb.SEARCH_MODE_UNSPECIFIED, {"dense", "lexical"}),
            (pb.SEARCH_MODE_HYBRID, {"dense", "lexical"}),
            (pb.SEARCH_MODE_DENSE, {"dense"}),
            (pb.SEARCH_MODE_LEXICAL, {"lexical"}),
        ],
    )
    async def test_keeps_to_its_mode(self, filled: Served, mode: int, signals: set[str]) -> None:
        response = await filled.search("stone oven", mode=mode)
        assert {part.signal for part in response.hits[0].signals} == signals

    async def test_filters(self, filled: Served) -> None:
        wanted = pb.Filter(must_not=[pb.Condition(field="document_id", any_of=["dams.md"])])
        hits = (await filled.search("gate water oven", filter=wanted, mode=pb.SEARCH_MODE_DENSE)).hits
        assert {hit.passage.document_id for hit in hits} == {"bread.txt", "水坝.txt"}

    async def test_what_holds_an_identifier_comes_first(self, service: Served) -> None:
        near = {f"near-{number}.txt": "Which toner does the printer take? Toner black." for number in range(30)}
        texts = {"code.txt": "WF-M5799: page 7.", "longer.txt": "WF-M5799DWF: page 9.", **near}
        await service.ingest(texts)
        response = await service.search("Which toner does the printer WF-M5799 take?")
        assert [hit.passage.document_id for hit in response.hits[:2]] == ["code.txt", "longer.txt"]
        assert list(response.ranking.identifiers) == ["wf-m5799"]
        signals = {part.signal: (part.score, part.rank) for part in response.hits[0].signals}
        assert signals["exact"] == (0.75, 1)
        assert response.hits[0].score == pytest.approx(sum(part.contribution for part in response.hits[0].signals))

    async def test_says_how_it_ranked(self, filled: Served) -> None:
        ranking = (await filled.search("Which gate opens?")).ranking
        assert (ranking.query_language, ranking.language_embedded) == ("en", True)
        assert {each.signal for each in ranking.weights} == {"dense", "lexical"}
        assert ranking.reason
        ranking = (await filled.search("Welches Tor öffnet sich nach oben?")).ranking
        assert (ranking.query_language, ranking.language_embedded) == ("de", False)

    async def test_leaves_out_what_no_signal_supports(self, filled: Served) -> None:
        response = await filled.search("stone oven")
        assert [hit.passage.document_id for hit in response.hits] == ["bread.txt"]
        assert response.ranking.unsupported == 3
        assert len((await filled.search("stone oven", mode=pb.SEARCH_MODE_DENSE)).hits) == 4

    async def test_gives_at_most_the_limit(self, filled: Served) -> None:
        assert len((await filled.search("water", limit=1)).hits) == 1

    async def test_finds_nothing_in_an_empty_collection(self, service: Served) -> None:
        await service.ingest({})
        assert (await service.search("water")).hits == []

    @pytest.mark.parametrize(
        "fields",
        [
            {"query": ""},
            {"query": "x" * 200_000},
            {"query": "x", "limit": 101},
            {"query": "x", "limit": -1},
            {"query": "x", "mode": 9},
            {"query": "x", "collection": "No Such Name"},
            {"query": "x", "filter": pb.Filter(must=[pb.Condition(field="text", any_of=["x"])])},
        ],
    )
    async def test_refuses_what_is_malformed(self, filled: Served, fields: dict[str, Any]) -> None:
        code, message = await failed(filled.search(**fields))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert message

    async def test_a_missing_collection_is_not_found(self, service: Served) -> None:
        code, message = await failed(service.search("water", "nowhere"))
        assert (code, message) == (grpc.StatusCode.NOT_FOUND, "there is no collection 'nowhere'")

    async def test_a_missing_model_is_unavailable(self, filled: Served, embedder: FakeEmbedder) -> None:
        embedder.error = EmbedderUnavailable("the embedding model does not answer")
        code, _ = await failed(filled.search("water", mode=pb.SEARCH_MODE_DENSE))
        assert code == grpc.StatusCode.UNAVAILABLE
        assert (await filled.search("水坝")).hits


class TestCatalog:
    async def test_collections_come_and_go(self, service: Served) -> None:
        identity = service.identity()
        request = pb.CreateCollectionRequest(name="docs", passage_settings=PassageSettings(max_chars=300))
        created = await service.stub.CreateCollection(request, metadata=identity)
        assert created.collection.passage_settings.max_chars == 300
        code, _ = await failed(service.stub.CreateCollection(request, metadata=identity))
        assert code == grpc.StatusCode.ALREADY_EXISTS
        await service.ingest({"a.txt": "word " * 200})
        listed = await service.stub.ListCollections(pb.ListCollectionsRequest(), metadata=identity)
        assert [(each.name, each.document_count) for each in listed.collections] == [("docs", 1)]
        assert listed.collections[0].passage_count >= 4
        drop = pb.DeleteCollectionRequest(name="docs")
        await service.stub.DeleteCollection(drop, metadata=identity)
        code, _ = await failed(service.search("word"))
        assert code == grpc.StatusCode.NOT_FOUND
        code, _ = await failed(
            service.stub.DeleteCollection(pb.DeleteCollectionRequest(name="docs"), metadata=identity)
        )
        assert code == grpc.StatusCode.NOT_FOUND

    @pytest.mark.parametrize("name", ["", "A", "a b", "../a", "-a", "_a", "x" * 65, "ä"])
    async def test_names_are_checked(self, service: Served, name: str) -> None:
        request = pb.CreateCollectionRequest(name=name)
        code, _ = await failed(service.stub.CreateCollection(request, metadata=service.identity()))
        assert code == grpc.StatusCode.INVALID_ARGUMENT

    @pytest.mark.parametrize("max_chars", [-1, 199, 8001])
    async def test_settings_are_checked(self, service: Served, max_chars: int) -> None:
        request = pb.CreateCollectionRequest(name="docs", passage_settings=PassageSettings(max_chars=max_chars))
        code, _ = await failed(service.stub.CreateCollection(request, metadata=service.identity()))
        assert code == grpc.StatusCode.INVALID_ARGUMENT

    async def test_documents_are_listed_by_pages(self, service: Served) -> None:
        ids = sorted(f"{number}/ä.txt" for number in range(25))
        await service.ingest(dict.fromkeys(ids, "text"))
        found: list[str] = []
        token = ""
        for _ in range(3):
            request = pb.ListDocumentsRequest(collection="docs", page_size=10, page_token=token)
            page = await service.stub.ListDocuments(request, metadata=service.identity())
            found += [document.id for document in page.documents]
            token = page.next_page_token
        assert found == ids
        assert token == ""

    async def test_collections_are_listed_by_name(self, service: Served) -> None:
        identity = service.identity()
        for name in ("a", "b", "c"):
            await service.stub.CreateCollection(pb.CreateCollectionRequest(name=name), metadata=identity)
        request = pb.ListCollectionsRequest(names=["c", "none", "a"])
        listed = await service.stub.ListCollections(request, metadata=identity)
        assert [one.name for one in listed.collections] == ["a", "c"]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.stub.ListCollections(pb.ListCollectionsRequest(names=["a"] * 101), metadata=identity)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    async def test_collections_are_listed_by_pages(self, service: Served) -> None:
        for name in ("c", "a", "b"):
            await service.ingest({}, name)
        request = pb.ListCollectionsRequest(page_size=2)
        first = await service.stub.ListCollections(request, metadata=service.identity())
        request.page_token = first.next_page_token
        second = await service.stub.ListCollections(request, metadata=service.identity())
        assert [each.name for each in (*first.collections, *second.collections)] == ["a", "b", "c"]

    @pytest.mark.parametrize(
        "fields", [{"page_size": -1}, {"page_size": 1001}, {"page_token": "%%"}, {"page_token": "w"}]
    )
    async def test_pages_are_checked(self, filled: Served, fields: dict[str, Any]) -> None:
        request = pb.ListDocumentsRequest(collection="docs", **fields)
        code, _ = await failed(filled.stub.ListDocuments(request, metadata=filled.identity()))
        assert code == grpc.StatusCode.INVALID_ARGUMENT

    async def test_documents_are_deleted(self, filled: Served) -> None:
        request = pb.DeleteDocumentRequest(collection="docs", document_id="dams.md")
        await filled.stub.DeleteDocument(request, metadata=filled.identity())
        assert "dams.md" not in {hit.passage.document_id for hit in (await filled.search("gate")).hits}
        code, _ = await failed(filled.stub.DeleteDocument(request, metadata=filled.identity()))
        assert code == grpc.StatusCode.NOT_FOUND
        wanted = pb.GetDocumentRequest(collection="docs", document_id="dams.md")
        code, _ = await failed(filled.stub.GetDocument(wanted, metadata=filled.identity()))
        assert code == grpc.StatusCode.NOT_FOUND

    async def test_tenants_do_not_see_each_other(self, filled: Served) -> None:
        other = filled.identity("rival")
        listed = await filled.stub.ListCollections(pb.ListCollectionsRequest(), metadata=other)
        assert listed.collections == []
        request = pb.SearchRequest(collection="docs", query="water")
        code, _ = await failed(filled.stub.Search(request, metadata=other))
        assert code == grpc.StatusCode.NOT_FOUND
        drop = pb.DeleteCollectionRequest(name="docs")
        code, _ = await failed(filled.stub.DeleteCollection(drop, metadata=other))
        assert code == grpc.StatusCode.NOT_FOUND


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async with served(tmp_path) as service:
        await service.ingest(DOCUMENTS)
    async with served(tmp_path) as service:
        _, summary = await service.ingest(DOCUMENTS)
        assert summary.unchanged == 3
        assert (await service.search("stone oven")).hits[0].passage.document_id == "bread.txt"


async def test_what_an_older_version_indexed_is_indexed_anew(tmp_path: Path) -> None:
    store, key = PointStore(EdgeEngine(tmp_path / "data", threads=2)), CollectionKey("acme", "docs")
    await store.create(key, 1200)
    digest = hashlib.sha256(b"water").hexdigest()
    old = Document("a.txt", "", "a.txt", "text/plain", digest, 5, 1, datetime(2026, 1, 2, tzinfo=UTC), {}, reading=1)
    passage = Passage(passage_id("a.txt", old.version, 0), "a.txt", "a.txt", "", [], 0, (0, 5), "water")
    record = PassageRecord(passage, vector_of("water"), passage_vector("old"), Sentences([(0, 5)], bytes(384)))
    await store.commit(key, old, [record])
    async with served(tmp_path, store=store) as service:

        async def outdated() -> int:
            request = pb.ListCollectionsRequest()
            (listed,) = (await service.stub.ListCollections(request, metadata=service.identity())).collections
            return listed.outdated_document_count

        assert await outdated() == 1
        assert (await service.search("water", mode=pb.SEARCH_MODE_LEXICAL)).hits == []
        results, _ = await service.ingest({"a.txt": "water"})
        assert results["a.txt"].outcome == pb.DocumentResult.OUTCOME_REPLACED
        assert await outdated() == 0
        assert len((await service.search("water", mode=pb.SEARCH_MODE_LEXICAL)).hits) == 1
        assert (await store.describe(key)).passage_count == 1
