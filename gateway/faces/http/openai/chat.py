"""Chat completions of any model: JSON in, one call of the pipeline, JSON or server-sent events out.

Faces of other forms write what they are asked as a chat completion, and read its answer.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

import grpc

from gateway import metrics
from gateway.access.authorize import require
from gateway.access.permissions import run as run_needs
from gateway.budgets.errors import BudgetExceeded
from gateway.calls.bare import BareCalls
from gateway.calls.pipeline import cache_note
from gateway.calls.prompt_use import PromptUse
from gateway.calls.prompts import Prompts
from gateway.calls.run_answer import Events
from gateway.calls.runs import RunCalls
from gateway.faces.http.message import EVENTS, JSON, Body, as_json
from gateway.faces.http.openai import bare_request, chat_request, prompt_fields
from gateway.faces.http.openai.chat_request import ChatRequest
from gateway.faces.http.openai.chat_response import Completion
from gateway.faces.http.openai.chunks import Chunks
from gateway.faces.http.openai.seen import Seen
from gateway.faces.http.openai.waiting import patiently
from gateway.guard.turns import Steps, Turns, at_once
from services.llm.catalogue.entry import CatalogueEntry
from services.llm.openai.chunks import Json
from services.runtime import statuses
from services.runtime.call import Call

T = TypeVar("T")
LONGEST_AT_ONCE = 32 << 10
"""Bytes of a body that another form's face reads on the event loop."""


class ChatCompletions:
    """Asks bare models, and what is asked through a run."""

    def __init__(self, runs: RunCalls, bare: BareCalls, prompts: Prompts) -> None:
        self._runs = runs
        self._bare = bare
        self._prompts = prompts
        self._turns = Turns()

    async def read(self, size: int, call: Call, steps: Steps[T]) -> T:
        """What the steps make of a body of so many bytes: of a long one in a thread, in turns with other tenants'.
        Raises ScreeningBusy, and what they raise."""
        return at_once(steps) if size <= LONGEST_AT_ONCE else await self._turns.run(call.tenant, steps)

    def bare_entry(self, model: object) -> CatalogueEntry | None:
        """The catalogue's entry of the bare model that is meant by a name; None where it is none."""
        name = self._bare.named(model)
        return next((entry for entry in self._bare.entries if entry.name == name), None) if name else None

    def answer(self, body: Json, call: Call, *, translated: bool = False) -> AsyncGenerator[Body, None]:
        """The completion, whole, or the events of its chunks. `translated`: see BareRequest. Raises a DomainError."""
        # Under the one name by which it is decided.
        bare = self._bare.named(body.get("model"))
        return self._ask(body | {"model": bare}, call, translated) if bare else self._run(body, call)

    async def with_prompt(self, body: Json, call: Call) -> tuple[Json, PromptUse | None]:
        """The body without the prompt that it names, and that prompt with the caller's values."""
        body, named = prompt_fields.taken(body)
        return body, await self._prompts.use(call, named.name, named.variables) if named is not None else None

    async def _ask(self, body: Json, call: Call, translated: bool) -> AsyncGenerator[Body, None]:
        """The answer of a bare model."""
        require(call, f"models.call:{body['model']}")
        body, prompt = await self.with_prompt(body, call)
        asked = bare_request.parse(body, translated=translated, prompt=prompt)
        if asked.stream:
            async with aclosing(self._bare.stream(asked, call)) as parts:
                yield Body(EVENTS, b"")  # from here on silence has comments
                async for part in parts:
                    yield Body(EVENTS, part)
        else:
            yield Body(JSON, await self._bare.complete(asked, call), whole=True)
        _count(asked.model, asked.stream)

    async def _run(self, body: Json, call: Call) -> AsyncGenerator[Body, None]:
        """The answer of a run."""
        chat = chat_request.read(body)
        require(call, *run_needs(chat.run.model, chat.run.collection, chat.run.session_id))
        seen = Seen(chat.run.model)
        chunks, completion = Chunks(seen), Completion(seen)
        async with aclosing(self._events(chat, call, seen)) as events:
            async for batch in events:
                if not chat.stream:
                    completion.take(batch)
                else:
                    yield Body(EVENTS, chunks.take(batch), waits_for=chunks.waits_for)
        seconds = time.monotonic() - call.started
        seen.cache = cache_note(call)
        seen.prompt = str(call.notes.get("prompt") or "")
        yield (
            Body(EVENTS, chunks.last(seconds, chat.include_usage)) if chat.stream else as_json(completion.json(seconds))
        )
        _count(chat.run.model, chat.stream)

    async def _events(self, chat: ChatRequest, call: Call, seen: Seen) -> AsyncGenerator[Events, None]:
        """The events of the run; see `patiently`."""
        async with (
            aclosing(self._runs.run(chat.run, call, chat.seams)) as batches,
            aclosing(patiently(batches, seen, call)) as events,
        ):
            try:
                async for batch in events:
                    yield batch
            except BudgetExceeded:
                if seen.finished is None:
                    raise  # before anything was answered
            except grpc.aio.AioRpcError as error:
                raise chat_request.in_its_words(statuses.from_rpc_error(error)) from error


def _count(model: str, stream: bool) -> None:
    metrics.COMPLETIONS.labels(model, str(stream).lower()).inc()
