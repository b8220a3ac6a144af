"""What the product's own tools and templates make of values: results of search, the clock, prompts with passages."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from uuid import UUID

from services.orchestrator.agents.loop.prompt import PASSAGES, variables
from services.orchestrator.domain.document_filter import DocumentFilter
from services.orchestrator.domain.passage import Found, Passage
from services.orchestrator.domain.tool import ToolContext
from services.orchestrator.tools.builtin.current_time import CurrentTime
from services.orchestrator.tools.builtin.search import SearchTool
from services.runtime.templates.template import Template

CONTEXT = ToolContext("default", "run", "call", ("default",))
TITLES = ("", "facts", "notes.md", "Facts", "Handbook")


class _Known:
    """Finds what it is given."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._found = Found(tuple(passages))

    async def search(self, collection: str, question: str, limit: int, only: DocumentFilter, rerank: int = 0) -> Found:
        return self._found


def passages(random: Random, texts: Sequence[str]) -> list[Passage]:
    """Passages with these texts, in this order."""
    return [
        Passage(identity(random), identity(random), random.choice(TITLES), "", text, 0, 1.0 - number / 10)
        for number, text in enumerate(texts)
    ]


def identity(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128), version=5))


def search_result(given: Sequence[Passage]) -> str:
    return asyncio.run(SearchTool(_Known(given)).call({"query": "q"}, CONTEXT))


def clock_result(moment: datetime) -> str:
    return asyncio.run(CurrentTime(lambda zone: moment.astimezone(UTC)).call({}, CONTEXT))


def prompt(question: str, given: Sequence[Passage]) -> str:
    """The question with its passages, as an agent that always retrieves puts it."""
    return Template(PASSAGES).render(variables(question, given, "default", ("default",), "rag", time.time()))
