"""Access lists, from both sides: who is in a group, and who is not."""

import hashlib
from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from tests.fakes.retrieval import Served

pytestmark = pytest.mark.integration

Metadata = tuple[tuple[str, str], ...]


@pytest.fixture
def hr(service: Served) -> Metadata:
    return service.keys.metadata("acme", "hilda", groups=("hr", "staff"))


@pytest.fixture
def guest(service: Served) -> Metadata:
    return service.keys.metadata("acme", "gus", groups=("guests",))


@pytest.fixture
def auditor(service: Served) -> Metadata:
    return service.keys.metadata("acme", "ada", "documents.others:read")


@pytest.fixture
async def filled(service: Served, hr: Metadata) -> Served:
    await service.ingest({"pay.txt": "Water costs money."}, who=hr, access_groups=["hr"])
    await service.ingest({"open.txt": "Water is free."}, who=hr)
    return service


async def found(service: Served, who: Metadata, **fields: object) -> set[str]:
    request = pb.SearchRequest(collection="docs", query="water", **fields)  # type: ignore[arg-type]
    response = await service.stub.Search(request, metadata=who)
    return {hit.passage.document_id for hit in response.hits}


async def listed(service: Served, who: Metadata) -> list[str]:
    response = await service.stub.ListDocuments(pb.ListDocumentsRequest(collection="docs"), metadata=who)
    return [document.id for document in response.documents]


async def failure(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def test_members_see_it_and_others_do_not(
    filled: Served, hr: Metadata, guest: Metadata, auditor: Metadata
) -> None:
    for who in (hr, auditor):
        assert await found(filled, who) == {"pay.txt", "open.txt"}
        assert await listed(filled, who) == ["open.txt", "pay.txt"]
    for mode in (pb.SEARCH_MODE_HYBRID, pb.SEARCH_MODE_DENSE, pb.SEARCH_MODE_LEXICAL):
        assert await found(filled, guest, mode=mode) == {"open.txt"}
    assert await listed(filled, guest) == ["open.txt"]
    collections = await filled.stub.ListCollections(pb.ListCollectionsRequest(), metadata=guest)
    assert [(one.document_count, one.passage_count) for one in collections.collections] == [(1, 1)]


async def test_a_filter_does_not_lead_around_it(filled: Served, guest: Metadata) -> None:
    named = pb.Filter(must=[pb.Condition(field="document_id", any_of=["pay.txt"])])
    assert await found(filled, guest, filter=named) == set()
    assert await found(filled, guest, filter=pb.Filter(any=[named, pb.Filter()])) == {"open.txt"}


async def test_one_that_may_not_be_read_is_not_there(filled: Served, hr: Metadata, guest: Metadata) -> None:
    hidden = pb.GetDocumentRequest(collection="docs", document_id="pay.txt", include_passages=True)
    missing = pb.GetDocumentRequest(collection="docs", document_id="none.txt")
    refused, absent = [await failure(filled.stub.GetDocument(one, metadata=guest)) for one in (hidden, missing)]
    assert refused[0] is grpc.StatusCode.NOT_FOUND
    assert (refused[0], refused[1].replace("pay.txt", "none.txt")) == absent
    document = (await filled.stub.GetDocument(hidden, metadata=hr)).document
    assert list(document.access_groups) == ["hr"]


async def test_who_may_not_read_may_not_delete(filled: Served, hr: Metadata, guest: Metadata) -> None:
    request = pb.DeleteDocumentRequest(collection="docs", document_id="pay.txt")
    code, _ = await failure(filled.stub.DeleteDocument(request, metadata=guest))
    assert code is grpc.StatusCode.NOT_FOUND
    assert await listed(filled, hr) == ["open.txt", "pay.txt"]
    await filled.stub.DeleteDocument(request, metadata=hr)
    assert await listed(filled, hr) == ["open.txt"]


@pytest.mark.parametrize("content", ["Water costs money.", "Other words."], ids=["same bytes", "others"])
@pytest.mark.parametrize("announced", [False, True])
async def test_who_may_not_read_may_not_replace(
    filled: Served, hr: Metadata, guest: Metadata, content: str, announced: bool
) -> None:
    fields: dict[str, Any] = {"content_hash": hashlib.sha256(content.encode()).hexdigest()} if announced else {}
    results, _ = await filled.ingest({"pay.txt": content}, who=guest, **fields)
    assert results["pay.txt"].outcome == pb.DocumentResult.OUTCOME_FAILED
    assert results["pay.txt"].error_reason == "DOCUMENT_ID_TAKEN"
    assert await found(filled, guest) == {"open.txt"}
    assert await found(filled, hr) == {"pay.txt", "open.txt"}


async def test_nobody_writes_what_they_could_not_read(
    filled: Served, guest: Metadata, hr: Metadata, auditor: Metadata
) -> None:
    results, _ = await filled.ingest({"new.txt": "Water."}, who=guest, access_groups=["hr"])
    assert results["new.txt"].error_reason == "OUTSIDE_ACCESS_GROUPS"
    assert await listed(filled, hr) == ["open.txt", "pay.txt"]
    results, _ = await filled.ingest({"new.txt": "Water."}, who=auditor, access_groups=["hr"])
    assert results["new.txt"].outcome == pb.DocumentResult.OUTCOME_CREATED
    assert "new.txt" in await found(filled, hr)


async def test_the_same_bytes_with_another_list_change_the_list(filled: Served, hr: Metadata, guest: Metadata) -> None:
    await filled.ingest({"open.txt": "Water is free."}, who=hr, access_groups=["staff"])
    assert await found(filled, guest) == set()
    await filled.ingest({"open.txt": "Water is free.", "pay.txt": "Water costs money."}, who=hr)
    assert await found(filled, guest) == {"open.txt", "pay.txt"}


async def test_what_is_missing_is_deleted_only_where_it_may_be_read(
    filled: Served, hr: Metadata, guest: Metadata
) -> None:
    _, summary = await filled.ingest({"mine.txt": "Water."}, who=guest, delete_missing=True)
    assert summary.deleted == 1
    assert await listed(filled, hr) == ["mine.txt", "pay.txt"]


async def test_what_is_gone_is_deleted_only_where_it_may_be_read(filled: Served, hr: Metadata, guest: Metadata) -> None:
    wanted = pb.GetDocumentRequest(collection="docs", document_id="pay.txt")
    document = (await filled.stub.GetDocument(wanted, metadata=hr)).document
    requests = [
        pb.IngestRequest(open=pb.IngestOpen(collection="docs", delete_gone=True)),
        pb.IngestRequest(gone=pb.IngestGone(id="pay.txt", update_time=document.update_time)),
    ]
    for who, deleted in ((guest, 0), (hr, 1)):
        responses = [one async for one in filled.stub.Ingest(iter(requests), metadata=who)]
        assert responses[-1].summary.deleted == deleted


@pytest.mark.parametrize("groups", [["x" * 201], [""], ["a\nb"], [f"g{number}" for number in range(65)]])
async def test_a_list_has_its_limits(service: Served, auditor: Metadata, groups: list[str]) -> None:
    results, _ = await service.ingest({"a.txt": "Water."}, who=auditor, access_groups=groups)
    assert results["a.txt"].error_reason == "INVALID_ARGUMENT"
