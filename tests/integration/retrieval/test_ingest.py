"""Ingestion over a channel, on the embedded store, with a fake embedder."""

import asyncio
import hashlib
import io
import os
import zlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import grpc
import pytest
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1.document_pb2 import Document
from prometheus_client import REGISTRY
from pypdf import PdfWriter

from services.retrieval.errors import EmbedderUnavailable
from tests.fakes.documents import pptx, shape, zipped
from tests.fakes.retrieval import FakeEmbedder, Served, ingest_requests, served
from tests.fakes.serving import until

Result = pb.DocumentResult
OPEN = pb.IngestRequest(open=pb.IngestOpen(collection="docs", create_collection=True))
HTML = pb.Filter(must=[pb.Condition(field="media_type", any_of=["text/html"])])
END = pb.IngestRequest(end=pb.IngestEnd())


def head(document_id: str, **fields: object) -> pb.IngestRequest:
    return pb.IngestRequest(document=pb.IngestDocument(id=document_id, **fields))  # type: ignore[arg-type]


def chunk(data: bytes) -> pb.IngestRequest:
    return pb.IngestRequest(chunk=data)


async def document_ids(service: Served, collection: str = "docs") -> list[str]:
    request = pb.ListDocumentsRequest(collection=collection, page_size=1000)
    response = await service.stub.ListDocuments(request, metadata=service.identity())
    return [document.id for document in response.documents]


async def text_of(service: Served, document_id: str) -> list[str]:
    request = pb.GetDocumentRequest(collection="docs", document_id=document_id, include_passages=True)
    response = await service.stub.GetDocument(request, metadata=service.identity())
    return [passage.text for passage in response.passages]


async def document(service: Served, document_id: str) -> Document:
    request = pb.GetDocumentRequest(collection="docs", document_id=document_id)
    return (await service.stub.GetDocument(request, metadata=service.identity())).document


async def send(service: Served, requests: Iterable[pb.IngestRequest]) -> list[pb.IngestResponse]:
    return [response async for response in service.stub.Ingest(iter(requests), metadata=service.identity())]


def written(service: Served, **fields: object) -> Any:
    """An ingestion whose messages are written one by one."""
    stub: Any = service.stub  # its stubs know streams of requests as iterators only
    return stub.Ingest(metadata=service.identity(), **fields)


async def left(tasks: int) -> None:
    """Until no more work is under way than there was: what was cut has ended at the server too."""
    await until(lambda: len(asyncio.all_tasks()) <= tasks)


def under_way() -> float | None:
    """Ingestions that the server has not ended."""
    method = "/headworks.retrieval.v1.RetrievalService/Ingest"
    return REGISTRY.get_sample_value("headworks_rpc_in_flight", {"method": method})


async def refused(service: Served, requests: Iterable[pb.IngestRequest]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send(service, requests)
    return caught.value.code(), caught.value.details() or ""


class TestDocuments:
    async def test_are_created(self, service: Served) -> None:
        results, summary = await service.ingest(
            {"a.md": "# Dams\n\nA dam holds water.\n\n## Gates\n\nA gate lets it pass."},
            uri="file:///a.md",
            metadata={"lang": "en"},
        )
        expected = Result(document_id="a.md", outcome=Result.OUTCOME_CREATED, passage_count=2, encoding="utf-8")
        assert results["a.md"] == expected
        assert summary == pb.IngestSummary(created=1, passages=2)
        request = pb.GetDocumentRequest(collection="docs", document_id="a.md", include_passages=True)
        found = await service.stub.GetDocument(request, metadata=service.identity())
        document = found.document
        assert (document.title, document.uri, document.media_type) == ("Dams", "file:///a.md", "text/markdown")
        assert (document.size_bytes, document.passage_count, dict(document.metadata)) == (58, 2, {"lang": "en"})
        assert [list(passage.headings) for passage in found.passages] == [["Dams"], ["Dams", "Gates"]]

    async def test_keep_a_title_that_was_given(self, service: Served) -> None:
        await service.ingest({"a.md": "# Dams\n\nWater."}, title="Weirs")
        assert (await service.search("water")).hits[0].passage.title == "Weirs"

    async def test_unchanged_are_left_alone(self, service: Served, embedder: FakeEmbedder) -> None:
        await service.ingest({"a.txt": "water", "b.txt": "land"})
        calls = len(embedder.batches)
        results, summary = await service.ingest({"a.txt": "water", "b.txt": "land"})
        assert summary == pb.IngestSummary(unchanged=2)
        assert results["a.txt"].passage_count == 1
        assert len(embedder.batches) == calls

    async def test_unchanged_are_known_without_their_bytes(self, service: Served) -> None:
        await service.ingest({"a.txt": "water"})
        known = head("a.txt", content_hash=hashlib.sha256(b"water").hexdigest())
        *results, last = await send(service, [OPEN, known, END, known, chunk(b"ignored"), END])
        assert [each.result.outcome for each in results] == [Result.OUTCOME_UNCHANGED] * 2
        assert last.summary.unchanged == 2

    async def test_changed_are_replaced(self, service: Served) -> None:
        await service.ingest({"a.txt": "old water\n\n" * 200})
        results, summary = await service.ingest({"a.txt": "new land"})
        assert results["a.txt"].outcome == Result.OUTCOME_REPLACED
        assert (summary.replaced, summary.passages) == (1, 1)
        assert await text_of(service, "a.txt") == ["new land"]
        hits = (await service.search("old water", mode=pb.SEARCH_MODE_DENSE)).hits
        assert [hit.passage.text for hit in hits] == ["new land"]

    async def test_get_new_labels_without_new_passages(self, service: Served, embedder: FakeEmbedder) -> None:
        await service.ingest({"a.txt": "water"}, metadata={"lang": "en"})
        calls = len(embedder.batches)
        results, _ = await service.ingest({"a.txt": "water"}, metadata={"lang": "de"})
        assert results["a.txt"].outcome == Result.OUTCOME_REPLACED
        assert len(embedder.batches) == calls
        wanted = pb.Filter(must=[pb.Condition(field="metadata.lang", any_of=["de"])])
        assert len((await service.search("water", filter=wanted)).hits) == 1

    async def test_say_of_themselves_what_their_caller_does_not(self, service: Served, embedder: FakeEmbedder) -> None:
        text = "---\ntitle: The gate\nlang: en\nteam: hydro\n---\n# Heading\n\nwater\n"
        await service.ingest({"a.md": text}, metadata={"lang": "de"})
        record = await document(service, "a.md")
        assert (record.title, dict(record.metadata)) == ("The gate", {"lang": "de", "team": "hydro"})
        assert "team" not in "".join(await text_of(service, "a.md"))
        wanted = pb.Filter(must=[pb.Condition(field="metadata.team", any_of=["hydro"])])
        assert len((await service.search("water", filter=wanted)).hits) == 1
        calls = len(embedder.batches)
        results, _ = await service.ingest({"a.md": text}, metadata={"lang": "de"})
        assert results["a.md"].outcome == Result.OUTCOME_UNCHANGED
        await service.ingest({"a.md": text})
        assert dict((await document(service, "a.md")).metadata) == {"lang": "en", "team": "hydro"}
        assert len(embedder.batches) == calls

    async def test_long_ones_report_progress(self, service: Served) -> None:
        text = "\n\n".join(f"{number} " + "word " * 230 for number in range(150))
        responses = await send(service, ingest_requests({"a.txt": text}))
        progress = [each.progress.passages_done for each in responses if each.HasField("progress")]
        assert progress == [64, 128, 150]
        assert len(await text_of(service, "a.txt")) == 150

    async def test_missing_ones_are_deleted_on_demand(self, service: Served) -> None:
        await service.ingest({"a.txt": "water", "b.txt": "land", "c.txt": "sky", "d.bin": b"x"})
        _, summary = await service.ingest({"a.txt": "water", "c.txt": b"\xff\xfebroken\x00"}, delete_missing=True)
        assert (summary.deleted, summary.failed, summary.unchanged) == (1, 1, 1)
        assert await document_ids(service) == ["a.txt", "c.txt"]
        assert await text_of(service, "c.txt") == ["sky"]

    async def test_an_empty_stream_deletes_all_that_is_missing(self, service: Served) -> None:
        await service.ingest({"a.txt": "water"})
        _, summary = await service.ingest({}, delete_missing=True)
        assert summary.deleted == 1
        assert await document_ids(service) == []

    async def test_batches_cross_documents(self, service: Served, embedder: FakeEmbedder) -> None:
        embedder.delay = 0.1  # so long that documents gather meanwhile, on a busy machine too
        await service.ingest({f"{number}.txt": f"text {number}" for number in range(100)})
        assert 1 < max(embedder.batches) <= 16
        assert len(embedder.batches) < 60

    async def test_of_one_id_at_once_are_written_one_by_one(self, service: Served, embedder: FakeEmbedder) -> None:
        embedder.delay = 0.01
        texts = [f"version {number}\n\n" * 100 for number in range(6)]
        await asyncio.gather(*(service.ingest({"a.txt": text}) for text in texts))
        passages = await text_of(service, "a.txt")
        assert "\n\n".join(passages) in [text.strip() for text in texts]
        listed = await service.stub.ListCollections(pb.ListCollectionsRequest(), metadata=service.identity())
        assert listed.collections[0].passage_count == len(passages)

    async def test_of_one_id_in_one_stream_end_as_some_version(self, service: Served) -> None:
        requests = [OPEN]
        for number in range(5):
            requests += [head("a.txt"), chunk(f"version {number}".encode()), END]
        responses = await send(service, requests)
        assert len(responses) == 6
        assert len(await text_of(service, "a.txt")) == 1


def pdf(text: str | None = None) -> bytes:
    """A PDF of one page, with a line of text if one is given."""
    if text is None:
        writer = PdfWriter()
        writer.add_blank_page(100, 100)
        out = io.BytesIO()
        writer.write(out)
        return out.getvalue()
    return pdf_of_stream(f"BT /F1 12 Tf 10 10 Td ({text}) Tj ET".encode())


def pdf_of_stream(stream: bytes, extra: bytes = b"") -> bytes:
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<<%s/Length %d>>stream\n%s\nendstream" % (extra, len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 6\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return bytes(out + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % start)


def deep(levels: int) -> bytes:
    """HTML whose parsing takes time by the square of its depth."""
    return b"<div>" * levels + b"deep water" + b"</div>" * levels


def slow() -> bytes:
    """HTML whose paragraphs each have all of the elements again that were open in the first: millions."""
    return b"<p>" + b"".join(b"<i a=%d>" % number for number in range(300)) + b"<p>x" * 25_000


def bomb() -> bytes:
    """A PDF of a few kilobytes whose page unpacks to more than the reader allows."""
    once = zlib.compress(b" " * (1 << 27), 1)
    return pdf_of_stream(zlib.compress(once, 9), b"/Filter[/FlateDecode/FlateDecode]")


class TestBadDocuments:
    async def test_a_pdf_is_read(self, service: Served) -> None:
        results, _ = await service.ingest({"a.pdf": pdf("The weir was built in 1907.")})
        assert results["a.pdf"].outcome == Result.OUTCOME_CREATED
        assert await text_of(service, "a.pdf") == ["The weir was built in 1907."]

    async def test_the_pages_of_a_pdf_are_known(self, service: Served) -> None:
        writer = PdfWriter()
        for text in ("The weir was built in 1907.", "The gate was built in 1911."):
            writer.append(io.BytesIO(pdf(text)))
        out = io.BytesIO()
        writer.write(out)
        await service.ingest({"a.pdf": out.getvalue(), "b.html": "<table><tr><th>a<th>b<tr><td>weir<td>1</table>"})
        hits = (await service.search("gate")).hits
        assert [(hit.passage.page, hit.passage.kind) for hit in hits][:1] == [(2, "text")]
        (row,) = (await service.search("weir a", filter=HTML)).hits
        assert (row.passage.text, row.passage.page, row.passage.kind) == ("a: weir; b: 1", 0, "table")

    async def test_a_result_says_the_encoding_and_what_was_not_read(self, service: Served) -> None:
        old = "Die Gewährleistung beträgt zwei Jahre und gilt nicht für Schäden durch Nutzung.".encode("cp1252")
        show = pptx([shape([(0, "The weir.")]), shape([(0, "Secret.")])], hidden=[2])
        results, _ = await service.ingest({"a.txt": old, "b.pptx": show, "c.docx": zipped({"x": bytes(16 << 20)})})
        assert (results["a.txt"].encoding, list(results["a.txt"].warnings)) == ("cp1252", [])
        assert (results["b.pptx"].encoding, list(results["b.pptx"].warnings)) == ("", ["not read: 1 hidden slide"])
        assert await text_of(service, "b.pptx") == ["The weir."]
        assert results["c.docx"].error_reason == "DOCUMENT_TOO_LARGE"

    async def test_a_broken_one_among_good_ones_fails_alone(self, service: Served) -> None:
        good = {f"{number}.txt": f"good text {number}" for number in range(100)}
        broken = pdf("text")[:200]
        results, summary = await service.ingest({**good, "broken.pdf": broken, "good.pdf": pdf("fine")})
        assert (summary.created, summary.failed) == (101, 1)
        assert results["broken.pdf"].error_reason == "DOCUMENT_UNREADABLE"
        assert results["broken.pdf"].error_message

    @pytest.mark.parametrize(
        ("document_id", "data", "reason"),
        [
            ("a.txt", b"", "DOCUMENT_EMPTY"),
            ("a.txt", b" \n\n ", "DOCUMENT_EMPTY"),
            ("a.html", b"<html><script>x</script></html>", "DOCUMENT_EMPTY"),
            ("a.pdf", pdf(), "DOCUMENT_EMPTY"),
            ("a.txt", b"caf\xe9", "DOCUMENT_ENCODING_UNKNOWN"),
            ("a.txt", bytes(range(256)) * 10, "DOCUMENT_UNREADABLE"),
            ("a.txt", b"\x00\x01\x02 text", "DOCUMENT_UNREADABLE"),
            ("a.html", b"<p>caf\xe9</p>", "DOCUMENT_ENCODING_UNKNOWN"),
            ("a.pdf", b"not a pdf", "DOCUMENT_UNREADABLE"),
            ("a.pdf", b"%PDF-1.4 and then nothing", "DOCUMENT_UNREADABLE"),
            ("a.doc", b"PK", "MEDIA_TYPE_UNSUPPORTED"),
            ("a.txt", b"x" * (4 << 20), "DOCUMENT_TOO_LARGE"),
            ("x" * 1025, b"x", "INVALID_ARGUMENT"),
            ("", b"x", "INVALID_ARGUMENT"),
        ],
        ids=lambda value: repr(value)[:24],
    )
    async def test_fail_with_a_reason(self, service: Served, document_id: str, data: bytes, reason: str) -> None:
        results, summary = await service.ingest({"good.txt": "good", document_id: data, "better.txt": "better"})
        assert results[document_id].outcome == Result.OUTCOME_FAILED
        assert results[document_id].error_reason == reason
        assert (summary.created, summary.failed) == (2, 1)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("media_type", "image/png"),
            ("content_hash", "abc"),
            ("uri", "x" * 5000),
            ("uri", "javascript:alert(1)"),
            ("uri", " java\tscript\n:alert(1)"),
            ("uri", "DATA:text/html,x"),
            ("title", "x" * 1025),
            ("metadata", {f"{number}": "" for number in range(33)}),
            ("metadata", {"k" * 65: ""}),
            ("metadata", {"": "v"}),
            ("metadata", {"k": "v" * 1025}),
        ],
    )
    async def test_fail_for_a_malformed_head(self, service: Served, field: str, value: object) -> None:
        results, _ = await service.ingest({"a.txt": "text"}, delete_missing=False, **{field: value})  # type: ignore[arg-type]
        assert results["a.txt"].outcome == Result.OUTCOME_FAILED

    async def test_an_id_has_no_control_characters(self, service: Served) -> None:
        results, _ = await service.ingest({"a\nb.txt": "text", "a\0b.txt": "text", "a b.txt": "text"})
        assert {document_id: result.error_reason for document_id, result in results.items()} == {
            "a\nb.txt": "INVALID_ARGUMENT", "a\0b.txt": "INVALID_ARGUMENT", "a b.txt": "",
        }  # fmt: skip

    async def test_bytes_that_belie_their_hash_fail(self, service: Served) -> None:
        results, _ = await service.ingest({"a.txt": "text"}, content_hash="0" * 64)
        assert results["a.txt"].error_reason == "CONTENT_HASH_MISMATCH"

    async def test_a_huge_line_is_split(self, service: Served) -> None:
        results, _ = await service.ingest({"a.txt": "x" * 2_000_000, "b.txt": "." * 1_000_000, "c.txt": "。" * 300_000})
        assert {result.outcome for result in results.values()} == {Result.OUTCOME_CREATED}
        assert results["a.txt"].passage_count == -(-2_000_000 // 1200)

    async def test_deep_html_is_read(self, service: Served) -> None:
        results, _ = await service.ingest({"a.html": deep(5_000), "b.html": "<p>shallow</p>"})
        assert results["b.html"].outcome == Result.OUTCOME_CREATED
        assert await text_of(service, "a.html") == ["deep water"]

    @pytest.mark.parametrize(
        "html",
        [deep(200_000), b"<div>" * 500_000, b"<DIV></x>" * 100_000, b"<b>" * 9_000, b"<i><p>" * 9_000,
         b"<div>" * 8_000 + b"<p>a" * 200_000],
    )  # fmt: skip
    async def test_html_that_is_too_deep_is_refused_before_it_is_parsed(self, service: Served, html: bytes) -> None:
        results, _ = await service.ingest({"a.html": html, "b.html": "<p>shallow</p>"})
        assert "nested too deeply" in results["a.html"].error_message
        assert results["b.html"].outcome == Result.OUTCOME_CREATED

    async def test_many_tags_that_nothing_closes_are_not_deep(self, service: Served) -> None:
        html = b"<ul>" + b"<li>one<br>two<p>three" * 20_000 + b"</ul>"
        results, _ = await service.ingest({"a.html": html})
        assert results["a.html"].outcome == Result.OUTCOME_CREATED

    async def test_a_pdf_that_unpacks_to_much_more_fails_alone(self, service: Served) -> None:
        results, _ = await service.ingest({"bomb.pdf": bomb(), "b.pdf": pdf("fine")})
        assert results["bomb.pdf"].error_reason in ("DOCUMENT_UNREADABLE", "DOCUMENT_EMPTY")
        assert results["b.pdf"].outcome == Result.OUTCOME_CREATED

    async def test_one_that_takes_too_long_fails_alone(self, tmp_path: Path) -> None:
        async with served(tmp_path, read_seconds=1.5) as service:
            results, _ = await service.ingest({"slow.html": slow(), "b.pdf": pdf("fine")})
        assert results["slow.html"].error_reason == "DOCUMENT_UNREADABLE"
        assert "longer than 1.5 seconds" in results["slow.html"].error_message
        assert results["b.pdf"].outcome == Result.OUTCOME_CREATED

    async def test_utf16_with_a_mark_is_read(self, service: Served) -> None:
        await service.ingest({"a.txt": "naïve 水".encode("utf-16"), "b.txt": b"\xef\xbb\xbfmarked"})
        assert await text_of(service, "a.txt") == ["naïve 水"]
        assert await text_of(service, "b.txt") == ["marked"]

    async def test_large_ones_are_not_kept_in_memory(self, service: Served) -> None:
        requests = [OPEN, head("a.txt"), *(chunk(bytes(1 << 20)) for _ in range(50)), END]
        responses = await send(service, requests)
        assert responses[0].result.error_reason == "DOCUMENT_TOO_LARGE"


class TestProtocol:
    @pytest.mark.parametrize(
        "requests",
        [
            [],
            [head("a.txt")],
            [OPEN, OPEN],
            [OPEN, chunk(b"x")],
            [OPEN, END],
            [OPEN, head("a.txt"), head("b.txt")],
            [OPEN, head("a.txt"), OPEN],
            [OPEN, head("a.txt"), chunk(b"x")],
            [OPEN, pb.IngestRequest()],
            [OPEN, head("a.txt"), chunk(bytes((1 << 20) + 1)), END],
            [pb.IngestRequest(open=pb.IngestOpen(collection="../etc", create_collection=True))],
        ],
    )
    async def test_is_kept(self, service: Served, requests: list[pb.IngestRequest]) -> None:
        code, message = await refused(service, requests)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert message

    async def test_a_missing_collection_is_not_found(self, service: Served) -> None:
        code, _ = await refused(service, [pb.IngestRequest(open=pb.IngestOpen(collection="docs"))])
        assert code == grpc.StatusCode.NOT_FOUND

    async def test_needs_an_identity(self, service: Served) -> None:
        call = service.stub.Ingest(iter([OPEN]))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(aiter(call))
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED

    async def test_a_failing_model_ends_the_stream(self, service: Served, embedder: FakeEmbedder) -> None:
        embedder.error = EmbedderUnavailable("the embedding model does not answer")
        code, message = await refused(service, ingest_requests({"a.txt": "water"}))
        assert (code, message) == (grpc.StatusCode.UNAVAILABLE, "the embedding model does not answer")
        embedder.error = None
        results, _ = await service.ingest({"a.txt": "water"})
        assert results["a.txt"].outcome == Result.OUTCOME_CREATED

    async def test_too_many_at_once_are_refused(self, tmp_path: Path) -> None:
        async with served(tmp_path, max_ingests=1) as service:
            first = written(service)
            await first.write(OPEN)
            for request in (head("a.txt"), chunk(b"text"), END):
                await first.write(request)
            await first.read()
            code, _ = await refused(service, [OPEN])
            assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
            await first.done_writing()
            assert (await first.read()).HasField("summary")
            await send(service, [OPEN])


class TestCutStreams:
    async def test_keep_what_was_answered_and_delete_nothing(self, service: Served, embedder: FakeEmbedder) -> None:
        await service.ingest({"old.txt": "old"})
        before = len(asyncio.all_tasks())
        call = written(service)
        await call.write(pb.IngestRequest(open=pb.IngestOpen(collection="docs", delete_missing=True)))
        for request in (head("a.txt"), chunk(b"water"), END):
            await call.write(request)
        response = await call.read()
        assert isinstance(response, pb.IngestResponse)
        assert response.result.outcome == Result.OUTCOME_CREATED
        call.cancel()
        await left(before)
        assert await document_ids(service) == ["a.txt", "old.txt"]

    @pytest.mark.parametrize("pause", [0.0, 0.001, 0.01])
    async def test_delete_nothing_however_they_are_cut(self, service: Served, pause: float) -> None:
        await service.ingest({f"{number}.txt": "old" for number in range(5)})
        before = len(asyncio.all_tasks())
        for _ in range(10):
            call = written(service)
            await call.write(pb.IngestRequest(open=pb.IngestOpen(collection="docs", delete_missing=True)))
            await asyncio.sleep(pause)
            call.cancel()
        await left(before)
        assert len(await document_ids(service)) == 5

    async def test_stop_the_work(self, service: Served, embedder: FakeEmbedder) -> None:
        await service.ingest({})  # who closes idle collections begins with the first
        embedder.gate.clear()
        before = len(asyncio.all_tasks())
        call = written(service)
        text = ("word " * 230 + "\n\n") * 200
        for request in ingest_requests({"long.txt": text, "b.txt": "short"}):
            await call.write(request)
        await until(lambda: embedder.batches)
        assert under_way()
        call.cancel()
        await until(lambda: not under_way())
        asked = len(embedder.batches)
        embedder.gate.set()
        await left(before)
        assert len(embedder.batches) == asked
        assert await document_ids(service) == []
        assert (await service.search("word")).hits == []

    async def test_leave_the_old_version(self, service: Served, embedder: FakeEmbedder) -> None:
        await service.ingest({"a.txt": "old water"})
        before = len(asyncio.all_tasks())
        call = written(service)
        embedder.delay = 0.02
        for request in ingest_requests({"a.txt": ("new " * 230 + "\n\n") * 300}):
            await call.write(request)
        while True:
            response = await call.read()
            assert isinstance(response, pb.IngestResponse)
            if response.progress.passages_done:
                break
        call.cancel()
        await left(before)
        assert await text_of(service, "a.txt") == ["old water"]
        listed = await service.stub.ListCollections(pb.ListCollectionsRequest(), metadata=service.identity())
        assert listed.collections[0].passage_count == 1

    async def test_pass_on_a_deadline(self, service: Served, embedder: FakeEmbedder) -> None:
        embedder.gate.clear()
        call = written(service, timeout=0.3)
        for request in ingest_requests({"a.txt": "water"}):
            await call.write(request)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        embedder.gate.set()


async def test_reading_pauses_while_too_much_is_under_way(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    embedder.gate.clear()
    sent = 0

    async def requests() -> AsyncIterator[pb.IngestRequest]:
        nonlocal sent
        yield OPEN
        for number in range(400):
            yield head(f"{number}.txt")
            yield chunk(os.urandom(1 << 19).hex().encode())
            yield END
            sent += 1

    async def another() -> bool:
        try:
            results, _ = await service.ingest({"after.txt": "Something else."})
        except grpc.aio.AioRpcError:  # refused, which gRPC also calls INTERNAL while the client is sending
            return False
        return results["after.txt"].outcome == Result.OUTCOME_CREATED

    async with served(tmp_path, embedder, max_bytes_in_flight=4 << 20, max_ingests=1) as service:
        call = service.stub.Ingest(requests(), metadata=service.identity())
        before = -1
        while sent > before:
            before = sent
            await asyncio.sleep(0.2)
        assert 4 <= sent < 40
        call.cancel()
        embedder.gate.set()
        await until(another, 30)
