"""Collections as tools: a query in, passages out, as retrieval finds them and the guards let them be read."""

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import mcp_types as types
from headworks.retrieval.v1 import collection_pb2
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1 import retrieval_service_pb2_grpc as pb_grpc

from gateway.access.authorize import allows, may, missing
from gateway.faces.guard.screening import Pipelines
from gateway.faces.http.mcp.tools import OfferedTool, Progress
from gateway.faces.http.openai import fields
from gateway.faces.http.search import MODES, MOST_HITS, hit_json, read
from gateway.mcp.names import tool_name
from services.llm.openai.chunks import Json
from services.runtime import clients
from services.runtime.call import Call, outgoing

SEARCH = "search"
PAGE = 1000
MOST_PAGES = 10
INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "description": "What is searched for, in words."},
        "limit": {"type": "integer", "minimum": 1, "maximum": MOST_HITS, "description": "How many passages at most."},
        "mode": {"type": "string", "enum": [mode for mode in MODES if mode]},
        "filter": {"type": "object", "description": "Which documents count, as in the API's searches."},
        "rerank": {"type": "integer", "minimum": 0, "maximum": MOST_HITS},
    },
    "required": ["query"],
    "additionalProperties": False,
}
OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {"hits": {"type": "array", "items": {"type": "object"}}, "degraded": {"type": "boolean"}},
    "required": ["hits"],
}


class CollectionTools:
    """Every collection that a caller may read is a tool. `guards` decide what of the passages may be read."""

    def __init__(self, retrieval: grpc.aio.Channel, guards: Pipelines) -> None:
        self._retrieval = pb_grpc.RetrievalServiceStub(retrieval)
        self._guards = guards

    async def tools(self, call: Call) -> Sequence[OfferedTool]:
        if call.identity is None:
            raise missing("collections.read:*")
        scopes = call.identity.scopes
        there = await self._collections(call)
        return [self._offered(one.name) for one in there if not one.broken and allows(scopes, _needs(one.name))]

    async def tool(self, name: str, call: Call) -> OfferedTool | None:
        if not name.startswith(f"{SEARCH}_"):
            return None
        for one in await self._collections(call):
            if tool_name(SEARCH, one.name) == name and may(call, _needs(one.name)):
                return self._offered(one.name)
        return None

    async def _collections(self, call: Call) -> list[collection_pb2.Collection]:
        found: list[collection_pb2.Collection] = []
        token = ""
        for _ in range(MOST_PAGES):
            request = pb.ListCollectionsRequest(page_size=PAGE, page_token=token)
            page = await clients.unary(self._retrieval.ListCollections(request, **outgoing(call.remaining, call)))
            found += page.collections
            token = page.next_page_token
            if not token:
                break
        return found

    def _offered(self, collection: str) -> OfferedTool:
        async def search(arguments: Mapping[str, Any], call: Call, progress: Progress) -> types.CallToolResult:
            return await self._search(collection, dict(arguments), call)

        declared = types.Tool(
            name=tool_name(SEARCH, collection),
            title=f"Search {collection}",
            description=f"Searches the documents of the collection {collection}; returns passages with their sources.",
            input_schema=INPUT,
            output_schema=OUTPUT,
            annotations=types.ToolAnnotations(read_only_hint=True, open_world_hint=False),
        )
        return OfferedTool(declared, search)

    async def _search(self, collection: str, arguments: Json, call: Call) -> types.CallToolResult:
        fields.known(arguments, INPUT["properties"], "")
        asked = read({**arguments, "collection": collection})
        call.notes["collection"] = collection
        found = await clients.unary(self._retrieval.Search(asked, **outgoing(call.remaining, call)))
        hits = await self._readable(list(found.hits), call)
        told = {"hits": [hit_json(hit) for hit in hits], "degraded": found.degraded, "not_reranked": found.not_reranked}
        text = types.TextContent(type="text", text=_listed(hits) or "(nothing was found)")
        return types.CallToolResult(content=[text], structured_content=told)

    async def _readable(self, hits: list[pb.Hit], call: Call) -> list[pb.Hit]:
        """The hits as they may be read; those that a guard blocks are left out."""
        texts = [text for hit in hits for text in _texts(hit)]
        screened = await self._guards.of(call.tenant).screen_context(texts, owner=call.tenant)
        said, blocked, kept = list(screened.texts), screened.blocked_items, list[pb.Hit]()
        start = 0
        for hit in hits:
            end = start + len(_texts(hit))
            if blocked.isdisjoint(range(start, end)):
                hit.passage.title, hit.passage.text, *headings = said[start:end]
                hit.passage.headings[:] = headings
                kept.append(hit)
            start = end
        return kept


def _texts(hit: pb.Hit) -> list[str]:
    return [hit.passage.title, hit.passage.text, *hit.passage.headings]


def _listed(hits: Sequence[pb.Hit]) -> str:
    return "\n\n".join(
        f"[{number}] {hit.passage.title or hit.passage.document_id} ({hit.passage.uri or hit.passage.document_id})\n"
        f"{hit.passage.text}"
        for number, hit in enumerate(hits, 1)
    )


def _needs(collection: str) -> str:
    return f"collections.read:{collection}"
