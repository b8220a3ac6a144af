"""A tool: what the model is told of it, and the call behind it."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from services.llm.chat import Declaration as Declaration
from services.llm.chat import ToolCall as ToolCall
from services.orchestrator.domain.document_filter import ALL, DocumentFilter

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Reason(StrEnum):
    """Why a call gave an error result. The words are metric labels and parts of events: they do not change."""

    UNKNOWN_TOOL = "UNKNOWN_TOOL"  # the model named a tool that the agent does not have
    INVALID_JSON = "INVALID_JSON"  # the arguments are no JSON object
    INVALID_ARGUMENTS = "INVALID_ARGUMENTS"  # they break the tool's schema, or the tool finds them wrong
    NOT_ALLOWED = "NOT_ALLOWED"  # the tool refuses: a host, a statement or a file that it must not touch
    TIMEOUT = "TIMEOUT"
    UNAVAILABLE = "UNAVAILABLE"  # what the tool needs is gone for now
    INVALID_RESULT = "INVALID_RESULT"  # what came back is not what the tool promises
    FAILED = "FAILED"  # the tool ran and says that it failed
    INTERNAL = "INTERNAL"  # the tool broke; the log has the error under the id that the result names
    REFUSED = "REFUSED"  # a person said no
    LIMIT = "LIMIT"  # the agent may not call it again in this run
    WITHHELD = "WITHHELD"  # a guard found that the model must not read it
    INTERRUPTED = "INTERRUPTED"  # the process died during the call: whether it took effect is not known


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """How a tool is called; each field can be set in the agent's spec.

    `timeout`: seconds for one attempt. `attempts`: more than one only for idempotent tools, 1 is used for the others.
    `result_limit`: characters, what is beyond is cut. `approval`: a person must approve each call. `max_calls`: calls
    in one run, None for as many as the run's other limits allow. The last two are for the agent's loop to keep.
    """

    timeout: float = 30.0
    attempts: int = 1
    result_limit: int = 20_000
    approval: bool = False
    max_calls: int | None = None


async def _nothing() -> None:
    """Nobody records that a call begins."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """For whom a tool is called, and which collections and documents it may read; `rerank` of the best that a search
    finds there are reranked. `deadline` is a point on the monotonic clock, in seconds: the end of the run. `begin`
    records that the call begins: it is durable on return. It is called once, before a call that must not be made
    twice."""

    tenant: str
    run_id: str
    call_id: str
    collections: tuple[str, ...] = ()
    filter: DocumentFilter = ALL
    deadline: float = float("inf")
    begin: Callable[[], Awaitable[object]] = _nothing
    rerank: int = 0


class ToolFailed(Exception):
    """A failure that the model is told of, in these words. `retryable`: the same call may succeed later."""

    def __init__(self, message: str, *, retryable: bool = False, reason: Reason = Reason.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.retryable = retryable
        self.reason = reason


class Tool(Protocol):
    """Something that the model may call. `idempotent`: a call that may have been made can be made again. A tool whose
    calls share something with others' has `places`, a FairLimit: a call holds one, and has not begun before. One whose
    calls go to one place has that place's `breaker`: while it is open, no call is made."""

    @property
    def declaration(self) -> Declaration: ...

    @property
    def idempotent(self) -> bool: ...

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        """The result, a text or a JSON text. `arguments` hold to the schema. Raises ToolFailed."""
        ...


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a call. `content` goes to the model, errors too; `error_reason` is None unless `is_error`.

    `attempts` is 0 where the call was not made. `truncated` says that the end of the content was cut.
    """

    call_id: str
    name: str
    content: str
    is_error: bool = False
    error_reason: Reason | None = None
    seconds: float = 0.0
    attempts: int = 0
    truncated: bool = False
