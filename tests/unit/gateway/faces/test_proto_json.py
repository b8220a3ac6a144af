"""JSON that goes to protobuf: what is wrong is said by the field and what it must be."""

from typing import Any

import pytest
from google.protobuf.message import Message
from headworks.gateway.v1 import budget_service_pb2 as budgets
from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from gateway.faces.http.openai.errors import BadRequest
from gateway.faces.http.proto_json import fill
from gateway.faces.http.search import read
from services.runtime.errors import InvalidArgument

FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"must": [{"field": "a", "any_of": [1]}]}, "filter.must[0].any_of[0] must be a string"),
    ({"must": [{"field": "a", "any_of": "b"}]}, "filter.must[0].any_of must be a list"),
    ({"must": [{"field": "a", "any_of": [None]}]}, "filter.must[0].any_of[0] must be a string"),
    ({"must": [{"field": 1}]}, "filter.must[0].field must be a string"),
    ({"must": [{"field": "a", "range": {"gt": "x"}}]}, "filter.must[0].range.gt must be a number"),
    ({"must": [{"field": "a", "range": 3}]}, "filter.must[0].range must be an object"),
    ({"must": ["a"]}, "filter.must[0] must be an object"),
    ({"must": [None]}, "filter.must[0] must be an object"),
    ({"must": {}}, "filter.must must be a list"),
    ({"any": [{"must": [{"fild": "a"}]}]}, "there is no field 'filter.any[0].must[0].fild'; did you mean field?"),
    ({"anyy": []}, "there is no field 'filter.anyy'; did you mean any?"),
]


@pytest.mark.parametrize(("given", "words"), FILTERS, ids=[words for _, words in FILTERS])
def test_what_is_wrong_with_a_filter(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read({"query": "x", "filter": given})
    assert caught.value.message == words
    assert caught.value.details["field"] in words


def test_what_a_filter_may_say() -> None:
    must = [{"field": "metadata.a", "anyOf": ["b"]}, {"field": "metadata.n", "range": {"gte": "1.5", "lt": 3}}]
    found = read({"query": "x", "filter": {"must": must, "any": None}}).filter
    assert (list(found.must[0].any_of), found.must[1].range.gte, found.must[1].range.lt) == (["b"], 1.5, 3.0)
    with pytest.raises(BadRequest, match="filter must be an object"):
        read({"query": "x", "filter": []})


@pytest.mark.parametrize(
    ("message", "body", "words"),
    [
        (pb.ListDocumentsRequest(), {"page_size": "x"}, "page_size must be a whole number"),
        (pb.ListDocumentsRequest(), {"pageSize": 1.5}, "pageSize must be a whole number"),
        (pb.SearchRequest(), {"mode": "fast"}, "mode must be one of SEARCH_MODE_UNSPECIFIED, "),
        (budgets.ListBudgetsRequest(), {"page_size": 1 << 40}, "page_size must be a whole number"),
    ],
)
def test_what_is_wrong_with_a_request(message: Message, body: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        fill(message, body)
    assert caught.value.message.startswith(words)
