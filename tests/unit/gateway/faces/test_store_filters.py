"""OpenAI's filters as retrieval's."""

from typing import Any

import pytest
from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from gateway.faces.http.openai.errors import BadRequest
from gateway.faces.http.openai.stores import filters, store_request


def compare(kind: str, value: Any, key: str = "k") -> dict[str, Any]:
    return {"type": kind, "key": key, "value": value}


def has(*values: str, key: str = "k") -> pb.Condition:
    return pb.Condition(field=f"metadata.{key}", any_of=values)


A, B, C, D = (compare("eq", letter) for letter in "abcd")
IS_A, IS_B, IS_C, IS_D = (pb.Filter(must=[has(letter)]) for letter in "abcd")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (compare("eq", "x"), pb.Filter(must=[has("x")])),
        (compare("eq", True), pb.Filter(must=[has("true")])),
        (compare("eq", 3), pb.Filter(must=[has("3")])),
        (compare("eq", 3.0), pb.Filter(must=[has("3")])),
        (compare("eq", 0.1), pb.Filter(must=[has("0.1")])),
        (compare("ne", "x"), pb.Filter(must_not=[has("x")])),
        (compare("in", ["x", 1]), pb.Filter(must=[has("x", "1")])),
        (compare("nin", ["x"]), pb.Filter(must_not=[has("x")])),
        (
            compare("gte", 7),
            pb.Filter(must=[pb.Condition(field="metadata.k", range=pb.NumberRange(gte=7))]),
        ),
        ({"type": "or", "filters": [A, B]}, pb.Filter(any=[IS_A, IS_B])),
        ({"type": "and", "filters": [A, compare("ne", "b")]}, pb.Filter(must=[has("a")], must_not=[has("b")])),
        (
            {"type": "and", "filters": [A, {"type": "or", "filters": [B, C]}]},
            pb.Filter(must=[has("a")], any=[IS_B, IS_C]),
        ),
        (
            {"type": "and", "filters": [{"type": "or", "filters": [A, B]}, {"type": "or", "filters": [C, D]}]},
            pb.Filter(any=[pb.Filter(must=[has(one), has(other)]) for one in "ab" for other in "cd"]),
        ),
        (
            {"type": "or", "filters": [{"type": "and", "filters": [A, B]}, C]},
            pb.Filter(any=[pb.Filter(must=[has("a"), has("b")]), IS_C]),
        ),
    ],
)
def test_filters(given: dict[str, Any], expected: pb.Filter) -> None:
    assert filters.read(given) == expected


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ("x", "filters"),
        ({}, "filters.key"),
        (compare("like", "x"), "filters.type"),
        (compare("eq", None), "filters.value"),
        (compare("eq", ["x"]), "filters.value"),
        (compare("in", "x"), "filters.value"),
        (compare("gt", "7"), "filters.value"),
        (compare("gt", True), "filters.value"),
        (compare("eq", "x") | {"fuzzy": True}, "filters.fuzzy"),
        (compare("eq", "x", key=""), "filters.key"),
        ({"type": "and", "filters": []}, "filters.filters"),
        ({"type": "or", "filters": [A, compare("eq", None)]}, "filters.filters[1].value"),
        ({"type": "or", "filters": [A] * 65}, "filters.filters"),
        ({"type": "and", "filters": [{"type": "or", "filters": [A, B]}] * 7}, "filters"),
    ],
)
def test_what_is_refused_is_named(given: Any, where: str) -> None:
    with pytest.raises(BadRequest) as caught:
        filters.read(given)
    assert caught.value.details["param"] == where


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "query"),
        ({"query": []}, "query"),
        ({"query": "x", "rewrite_query": True}, "rewrite_query"),
        ({"query": "x", "max_num_results": 51}, "max_num_results"),
        ({"query": "x", "ranking_options": {"ranker": "mine"}}, "ranking_options.ranker"),
        ({"query": "x", "ranking_options": {"score_threshold": 2}}, "score_threshold"),
        (
            {"query": "x", "ranking_options": {"hybrid_search": {"embedding_weight": 1}}},
            "ranking_options.hybrid_search",
        ),
        ({"query": "x", "other": 1}, "other"),
    ],
)
def test_searches_that_are_refused(body: dict[str, Any], where: str) -> None:
    with pytest.raises(BadRequest) as caught:
        store_request.search("docs", body)
    assert caught.value.details["param"] == where


def test_a_search() -> None:
    body = {"query": ["a", "b"], "max_num_results": 3, "ranking_options": {"score_threshold": 0.5}, "filters": A}
    found = store_request.search("docs", body | {"rewrite_query": False})
    assert found.least_score == 0.5
    assert found.request.query == "a b"
    assert (found.request.vector_store_id, found.request.limit, found.request.filter) == ("docs", 3, IS_A)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "file_ids"),
        ({"file_ids": ["a"], "files": [{"file_id": "a"}]}, "file_ids"),
        ({"file_ids": [7]}, "file_ids"),
        ({"files": ["a"]}, "files[0]"),
        ({"files": [{"file_id": "a"}, {}]}, "files[1].file_id"),
        ({"files": [{"file_id": "a", "attributes": {"k": None}}]}, "files[0].attributes.k"),
        ({"file_ids": ["a"], "chunking_strategy": {"type": "static", "static": {}}}, "chunking_strategy"),
    ],
)
def test_batches_that_are_refused(body: dict[str, Any], where: str) -> None:
    with pytest.raises(BadRequest) as caught:
        store_request.batch(body)
    assert caught.value.details["param"] == where
