"""POST /v1/rerank, in Cohere's form: the body, and the answer. Its errors are OpenAI's, as on every path."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.faces.http.openai import fields
from gateway.faces.http.openai.errors import BadRequest
from services.llm.openai.chunks import Json
from services.runtime.errors import ModelNotFound
from services.runtime.reranker import RERANKER

KNOWN = ("model", "query", "documents", "top_n", "return_documents", "max_tokens_per_doc", "priority")
MOST_DOCUMENTS = 1000
LONGEST_QUERY = 8192
LONGEST_DOCUMENT = 65_536
"""Characters."""
MOST_TOKENS = 1 << 20
SEARCH_UNIT = 100
"""Documents that Cohere counts as one unit."""


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """`max_tokens`: those that are read of a document at most; 0 for as many as the model reads. `top_n`: results at
    most."""

    query: str
    documents: list[str]
    top_n: int
    return_documents: bool
    max_tokens: int


def parse(data: bytes) -> RerankRequest:
    """Raises BadRequest or ModelNotFound."""
    body = fields.parse(data)
    fields.known(body, KNOWN, "")
    model = fields.maybe_text(body, "model") or RERANKER
    if model != RERANKER:
        raise ModelNotFound(model)
    query = fields.text(body, "query")
    if len(query) > LONGEST_QUERY:
        raise BadRequest(f"query has {len(query)} characters; the most is {LONGEST_QUERY}", "query")
    documents = _documents(body)
    return RerankRequest(
        query=query,
        documents=documents,
        top_n=fields.integer(body, "top_n", 1, MOST_TOKENS) or len(documents),
        return_documents=fields.flag(body, "return_documents"),
        max_tokens=fields.integer(body, "max_tokens_per_doc", 1, MOST_TOKENS) or 0,
    )


def _documents(body: Json) -> list[str]:
    documents = fields.entries(body, "documents")
    if not documents:
        raise BadRequest("documents must be a list of strings, or of objects with a text, and not empty", "documents")
    if len(documents) > MOST_DOCUMENTS:
        raise BadRequest(
            f"documents has {len(documents)} entries; the most is {MOST_DOCUMENTS}: send them in several requests, "
            "whose scores for the same query can be compared",
            "documents",
        )
    return [_document(one, f"documents[{index}]") for index, one in enumerate(documents)]


def _document(value: Any, path: str) -> str:
    text = value.get("text") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise BadRequest(f"{path} must be a string, or an object whose text is one", path)
    if len(text) > LONGEST_DOCUMENT:
        raise BadRequest(f"{path} has {len(text)} characters; the most is {LONGEST_DOCUMENT}: send its parts", path)
    return text


def response(asked: RerankRequest, scores: Sequence[float], tokens: int, request_id: str) -> Json:
    """The best `top_n`, the first of equals first."""
    best = sorted(range(len(scores)), key=lambda index: (-scores[index], index))[: asked.top_n]
    return {
        "id": request_id,
        "model": RERANKER,
        "results": [_result(asked, index, scores[index]) for index in best],
        "meta": {
            "api_version": {"version": "2"},
            "billed_units": {"search_units": -(-len(scores) // SEARCH_UNIT)},
            "tokens": {"input_tokens": tokens, "output_tokens": 0},
        },
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _result(asked: RerankRequest, index: int, score: float) -> Json:
    document = {"document": {"text": asked.documents[index]}} if asked.return_documents else {}
    return {"index": index, "relevance_score": score, **document}
