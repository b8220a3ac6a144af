"""Reranking's body and answer, in Cohere's form."""

import json
from typing import Any

import pytest

from gateway.faces.http.openai import rerank
from gateway.faces.http.openai.errors import BadRequest
from services.runtime.errors import ModelNotFound


def body(**changes: Any) -> bytes:
    fine = {"model": "rerank", "query": "why?", "documents": ["a", "b"]}
    return json.dumps({name: value for name, value in (fine | changes).items() if value != "absent"}).encode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (body(), rerank.RerankRequest("why?", ["a", "b"], 2, False, 0)),
        (body(model="absent", documents=[{"text": "a"}, ""]), rerank.RerankRequest("why?", ["a", ""], 2, False, 0)),
        (body(top_n=1, return_documents=True), rerank.RerankRequest("why?", ["a", "b"], 1, True, 0)),
        (body(max_tokens_per_doc=4096, top_n=None), rerank.RerankRequest("why?", ["a", "b"], 2, False, 4096)),
    ],
)  # fmt: skip
def test_what_is_read(data: bytes, expected: rerank.RerankRequest) -> None:
    assert rerank.parse(data) == expected


@pytest.mark.parametrize(
    ("changes", "param", "words"),
    [
        ({"query": ""}, "query", "not empty"),
        ({"query": "x" * 8193}, "query", "8193 characters"),
        ({"documents": []}, "documents", "not empty"),
        ({"documents": "a"}, "documents", "must be a list"),
        ({"documents": ["a"] * 1001}, "documents", "1001 entries; the most is 1000: send them in several"),
        ({"documents": ["a", 7]}, "documents[1]", "an object whose text is one"),
        ({"documents": [{"title": "a"}]}, "documents[0]", "an object whose text is one"),
        ({"documents": ["x" * 65_537]}, "documents[0]", "65537 characters"),
        ({"top_n": 0}, "top_n", "from 1"),
        ({"max_tokens_per_doc": "7"}, "max_tokens_per_doc", "whole number"),
        ({"rank_fields": ["title"]}, "rank_fields", "not supported"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as caught:
        rerank.parse(body(**changes))
    assert caught.value.details["param"] == param


def test_another_model_is_not_found() -> None:
    with pytest.raises(ModelNotFound):
        rerank.parse(body(model="rerank-v3.5"))


def test_results_are_the_best_first_and_equals_as_they_came() -> None:
    asked = rerank.parse(body(documents=["a", "b", "c", "d"], top_n=3, return_documents=True))
    answer = rerank.response(asked, [0.25, 0.5, 0.75, 0.5], 40, "r1")
    assert answer["results"] == [
        {"index": 2, "relevance_score": 0.75, "document": {"text": "c"}},
        {"index": 1, "relevance_score": 0.5, "document": {"text": "b"}},
        {"index": 3, "relevance_score": 0.5, "document": {"text": "d"}},
    ]
    assert answer["id"] == "r1"
    assert answer["usage"] == {"prompt_tokens": 40, "total_tokens": 40}
    assert answer["meta"]["billed_units"] == {"search_units": 1}
    assert answer["meta"]["tokens"] == {"input_tokens": 40, "output_tokens": 0}


def test_documents_are_returned_only_where_asked_for() -> None:
    (only,) = rerank.response(rerank.parse(body(documents=["a"])), [0.5], 3, "r1")["results"]
    assert only == {"index": 0, "relevance_score": 0.5}
