"""Reranking over HTTP, before a Triton that counts words."""

import json
from typing import Any

import grpc
import pytest

from tests.fakes.http_calls import HttpCall, Refused
from tests.fakes.triton import FakeTriton, strings, tensor
from tests.integration.gateway.conftest import KEY, Gateway, MakeGateway

DOCUMENTS = ["dogs bark", "all cats sleep", {"text": "cats"}, ""]


async def rerank(gateway: Gateway, path: str = "/v1/rerank", **fields: Any) -> dict[str, Any]:
    sent = {"query": "cats sleep", "documents": DOCUMENTS} | fields
    answer = await gateway.ask("POST", path, json.dumps(sent).encode()).whole()
    assert answer.content_type == "application/json"
    found: dict[str, Any] = json.loads(answer.data)
    return found


async def failure(call: HttpCall) -> tuple[int, dict[str, Any]]:
    """The status and the error that a call ends with."""
    with pytest.raises(Refused) as raised:
        await call.whole()
    return raised.value.status, raised.value.error


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
async def test_documents_come_in_the_rerankers_order(make_gateway: MakeGateway, path: str) -> None:
    gateway = await make_gateway()
    answer = await rerank(gateway, path, model="rerank", top_n=3)
    assert [(one["index"], one["relevance_score"]) for one in answer["results"]] == [(1, 1.0), (2, 0.5), (0, 0.0)]
    assert answer["meta"]["tokens"]["input_tokens"] == 4 * 2 + 6, "the query counts with each document"


async def test_many_documents_go_in_batches(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    documents = ["dogs"] * 40 + ["cats sleep"] + ["dogs"] * 9
    answer = await rerank(gateway, documents=documents, max_tokens_per_doc=9)
    assert answer["results"][0]["index"] == 40
    assert len(answer["results"]) == 50
    sizes = [len(strings(tensor(request, "TEXT"))) for request in gateway.triton.requests]
    assert sizes == [16, 16, 16, 2]
    assert all(tensor(request, "MAX_TOKENS")[:4] == b"\x09\0\0\0" for request in gateway.triton.requests)


async def test_without_a_reranker_the_error_says_what_to_do(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(triton=FakeTriton(reranks=False))
    sent = json.dumps({"query": "cats", "documents": DOCUMENTS}).encode()
    status, told = await failure(gateway.ask("POST", "/v1/rerank", sent))
    assert (status, told["code"]) == (400, "reranker_not_served")
    assert "HEADWORKS_MODELS_RERANKER" in told["message"]


async def test_without_triton_it_is_unavailable(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(triton=FakeTriton(code=grpc.StatusCode.UNAVAILABLE))
    sent = json.dumps({"query": "cats", "documents": DOCUMENTS}).encode()
    status, told = await failure(gateway.ask("POST", "/v1/rerank", sent))
    assert (status, told["type"]) == (503, "server_error")
    assert "said by Triton" not in told["message"]


async def test_coheres_clients_read_the_answer(make_gateway: MakeGateway) -> None:
    cohere = pytest.importorskip("cohere")
    gateway = await make_gateway()
    url = str(gateway.http.base_url)
    first = cohere.AsyncClient(KEY, base_url=url, httpx_client=gateway.http)
    second = cohere.AsyncClientV2(KEY, base_url=url, httpx_client=gateway.http)
    for client in (first, second):
        found = await client.rerank(model="rerank", query="cats sleep", documents=["dogs bark", "cats sleep"], top_n=1)
        assert [(one.index, one.relevance_score) for one in found.results] == [(1, 1.0)]
        assert found.meta.billed_units.search_units == 1
