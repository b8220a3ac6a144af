"""What the pipeline needs of a generator."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from services.orchestrator.rag.retriever import Found
from services.orchestrator.runs.events import Citation


@dataclass(frozen=True, slots=True)
class Context:
    """What an answer is made from."""

    question: str
    found: Found
    max_sentences: int


@dataclass(frozen=True, slots=True)
class Piece:
    """The next piece of the answer, and its source if it has one."""

    text: str
    citation: Citation | None = None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The context does not answer the question; the only thing a generator yields then, but for Tokens."""

    confidence: float


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens read and written by the whole answer."""

    read: int
    written: int


class Generator(Protocol):
    """Writes an answer, piece by piece. Closing the iterator stops the work. Raises DomainErrors."""

    name: str

    def generate(self, context: Context) -> AsyncGenerator[Piece | NoAnswer | Tokens, None]: ...
