"""Search in the collections of the agent."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from services.orchestrator.domain.passage import Passage, Retriever
from services.orchestrator.domain.tool import Declaration, Reason, ToolContext, ToolFailed
from services.orchestrator.tools.builtin.schemas import obj, text
from services.runtime.errors import DomainError, ErrorKind

DEFAULT_LIMIT = 4
MAX_LIMIT = 20
RETRYABLE = (ErrorKind.UNAVAILABLE, ErrorKind.RESOURCE_EXHAUSTED)


class SearchTool:
    """Asks retrieval, as the present caller. The result is {"passages": [{number, id, document_id, collection, title,
    uri, text}]}, best first, numbered from 1."""

    idempotent = True
    declaration = Declaration(
        "search",
        "Searches the documents, by meaning and by words, and gives the best passages, numbered, with their titles. "
        "Ask in a whole question or in the words that the documents would use.",
        obj(
            {
                "query": text("What to search for."),
                "collection": text("The collection to search; all of the agent's if left out.", 200),
                "limit": {
                    "type": "integer", "minimum": 1, "maximum": MAX_LIMIT,
                    "description": f"How many passages; {DEFAULT_LIMIT} if left out.",
                },
            },
            "query",
        ),
        json=True,
    )  # fmt: skip

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        limit = int(arguments.get("limit", DEFAULT_LIMIT))
        passages = await self._search(arguments["query"], limit, _collections(arguments, context), context)
        found = [_told(number, name, passage) for number, (name, passage) in enumerate(passages[:limit], 1)]
        return orjson.dumps({"passages": found}).decode()

    async def _search(
        self, query: str, limit: int, collections: Sequence[str], context: ToolContext
    ) -> list[tuple[str, Passage]]:
        """The passages of all collections, best first."""
        try:
            found = await asyncio.gather(
                *(self._retriever.search(name, query, limit, context.filter, context.rerank) for name in collections)
            )
        except DomainError as error:
            reason = Reason.UNAVAILABLE if error.kind in RETRYABLE else Reason.FAILED
            raise ToolFailed(error.message, retryable=error.kind in RETRYABLE, reason=reason) from error
        each = [(name, one) for name, many in zip(collections, found, strict=True) for one in many.passages]
        return sorted(each, key=lambda pair: -pair[1].score)


def _collections(arguments: Mapping[str, Any], context: ToolContext) -> Sequence[str]:
    if not context.collections:
        raise ToolFailed("this agent has no collections to search", reason=Reason.NOT_ALLOWED)
    wanted = arguments.get("collection")
    if wanted is None:
        return context.collections
    if wanted not in context.collections:
        names = ", ".join(context.collections)
        raise ToolFailed(f"the agent has no collection {wanted!r}; it has: {names}", reason=Reason.NOT_ALLOWED)
    return [wanted]


def _told(number: int, collection: str, passage: Passage) -> dict[str, Any]:
    return {
        "number": number,
        "id": passage.id,
        "document_id": passage.document_id,
        "collection": collection,
        "title": passage.title,
        "uri": passage.uri,
        "text": passage.text,
    }
