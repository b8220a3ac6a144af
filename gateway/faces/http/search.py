"""/v1/search: retrieval's search as plain JSON."""

from collections.abc import AsyncGenerator, Iterable
from typing import Any

import grpc
from google.protobuf import json_format
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1 import retrieval_service_pb2_grpc as pb_grpc

from gateway.access.authorize import require
from gateway.faces.http.message import Body, Request, as_json
from gateway.faces.http.openai import fields
from gateway.faces.http.openai.errors import BadRequest
from gateway.faces.http.proto_json import fill
from gateway.faces.http.routes import Route, plain_route
from services.llm.openai.chunks import Json
from services.runtime import clients
from services.runtime.call import Call, outgoing
from services.runtime.needs import DEFAULT_COLLECTION

FIELDS = ("collection", "query", "limit", "filter", "mode", "rerank")
MOST_HITS = 100
MODES = {
    "": pb.SEARCH_MODE_UNSPECIFIED,
    "hybrid": pb.SEARCH_MODE_HYBRID,
    "dense": pb.SEARCH_MODE_DENSE,
    "lexical": pb.SEARCH_MODE_LEXICAL,
}
# What a passage says of its document, by the names that it has there.
_OF_DOCUMENT = {"document_id": "id", "title": "title", "uri": "uri"}


class SearchFace:
    """Translates; retrieval searches."""

    def __init__(self, retrieval: grpc.aio.Channel) -> None:
        self._retrieval = pb_grpc.RetrievalServiceStub(retrieval)

    def routes(self) -> Iterable[Route]:
        return (plain_route("POST", "/v1/search", self.search),)

    async def search(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        asked = read(fields.parse(request.body))
        require(call, f"collections.read:{asked.collection}")
        found = await clients.unary(self._retrieval.Search(asked, **outgoing(call.remaining, call)))
        hits = [hit_json(hit) for hit in found.hits]
        yield as_json({"hits": hits, "degraded": found.degraded, "not_reranked": found.not_reranked})


def read(body: Json) -> pb.SearchRequest:
    """Raises InvalidArgument, which names the field."""
    fields.known(body, FIELDS, "")
    mode = fields.maybe_text(body, "mode")
    if mode not in MODES:
        raise BadRequest(f"mode must be one of {', '.join(filter(None, MODES))}", "mode")
    return pb.SearchRequest(
        collection=fields.maybe_text(body, "collection") or DEFAULT_COLLECTION,
        query=fields.text(body, "query"),
        limit=fields.integer(body, "limit", 1, MOST_HITS) or 0,
        filter=_filter(fields.mapping(body, "filter")),
        mode=MODES[mode],
        rerank=fields.integer(body, "rerank", 0, MOST_HITS) or 0,
    )


def _filter(given: Json) -> pb.Filter:
    found = pb.Filter()
    fill(found, given, "filter")
    return found


def hit_json(hit: pb.Hit) -> Json:
    """A hit with its document, its passage, and how each signal ranks it."""
    passage = _fields(hit.passage)
    document = {name: passage.pop(field) for field, name in _OF_DOCUMENT.items()}
    signals = [_fields(signal) for signal in hit.signals]
    return {"score": hit.score, "document": document, "passage": passage, "signals": signals}


def _fields(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return found
