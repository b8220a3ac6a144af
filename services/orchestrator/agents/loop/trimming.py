"""What a model reads no more of once its context is full: the oldest tool results first, then all but the latest of the
session, then a part of the results that it has not read yet."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from services.llm.chat import Message, Role
from services.llm.errors import ContextTooLong
from services.llm.generation import Generation
from services.llm.tokens import estimate, estimate_prompt
from services.orchestrator.agents.loop.transcript import Transcript
from services.orchestrator.agents.loop.work import Work
from services.orchestrator.domain.event import ContextTrimmed, TrimmedResult
from services.orchestrator.sessions.memory import SessionWindow

MESSAGE_OVERHEAD = 16
# Tokens of the note that stands at the end of a result that is cut.
NOTE = 24
# Results as short as what would stand in their place stay.
SHORT = 400
# How full the prompt is afterwards, so that the next step does not have to trim again at once.
FULL = 0.8
# Of a context whose answer has no largest number of tokens, at most this share is left free for it.
ANSWER_SHARE = 4
# An upstream that says nothing of lengths gets so much of what it has refused.
LESS = 0.5


@dataclass(frozen=True, slots=True)
class _Excess:
    """The prompt has so many tokens, and may have so many, both as the one who counts has them."""

    prompt: int
    most: int

    def tokens(self, estimated: int) -> int:
        """How many have to go, as the estimate counts."""
        over = self.prompt - self.most * FULL
        return max(1, round(over * estimated / self.prompt)) if self.prompt else 1


async def overflowing(work: Work, generation: Generation) -> ContextTrimmed | None:
    """What to leave out of a prompt that does not fit; None where it fits, as far as that is known, or where nothing
    can be left out."""
    most = _room(work, generation)
    if most <= 0 or upper_bound(generation) <= most:
        return None
    prompt = await work.handle.generator.count(generation.messages, generation.tools)
    return _trimmed(work, generation, _Excess(prompt, most)) if prompt > most else None


async def refused(work: Work, generation: Generation, error: ContextTooLong) -> ContextTrimmed | None:
    """What to leave out of a prompt that the model did not take; None where nothing can be."""
    counted = await work.handle.generator.count(generation.messages, generation.tools)
    prompt = int(error.details.get("prompt_tokens") or counted)
    length = int(error.details.get("context_length") or 0)
    answer = generation.sampling.max_tokens or length // ANSWER_SHARE
    most = length - answer if 0 < length - answer < prompt else int(prompt * LESS)
    return _trimmed(work, generation, _Excess(prompt, most))


def _room(work: Work, generation: Generation) -> int:
    """Tokens that the prompt may have; 0 where that is not known."""
    entry = work.handle.entry
    explicit = generation.sampling.max_tokens or entry.sampling.max_tokens
    return entry.context_length - (explicit or min(entry.answer_tokens, entry.context_length // ANSWER_SHARE))


def upper_bound(generation: Generation) -> int:
    """Tokens of the prompt at most: a token is a byte at least."""
    size = sum(len(message.content.encode()) + MESSAGE_OVERHEAD for message in generation.messages)
    calls = [call for one in generation.messages for call in one.tool_calls]
    size += sum(len(call.arguments_json) + len(call.name) + len(call.beside) for call in calls)
    return size + sum(len(orjson.dumps(tool)) for tool in generation.tools)


def _trimmed(work: Work, generation: Generation, excess: _Excess) -> ContextTrimmed | None:
    estimated = estimate_prompt(message.content for message in generation.messages)
    need = excess.tokens(estimated)
    older, latest = _results(work.state)
    gone: list[TrimmedResult] = []
    for message in older:
        if need <= 0:
            break
        gone.append(TrimmedResult(message.tool_call_id, 0))
        need -= estimate(message.content)
    messages = 0
    if need > 0 and work.window is not None:
        messages = _beyond(work.window, need)
        need -= estimate_prompt(message.content for message in work.window.messages[:messages])
    if need > 0:
        gone += _cut(latest, need)
    return ContextTrimmed(tuple(gone), messages, excess.prompt) if gone or messages else None


def _results(state: Transcript) -> tuple[list[Message], list[Message]]:
    """The tools' results that are long enough to be left out, oldest first: those of before the model's last turn, and
    those after it."""
    turn = max((at for at, message in enumerate(state.messages) if message.role is Role.ASSISTANT), default=0)
    long = [
        (at, message)
        for at, message in enumerate(state.messages)
        if message.role is Role.TOOL and len(message.content) > SHORT
    ]
    return [message for at, message in long if at < turn], [message for at, message in long if at > turn]


def _cut(results: Sequence[Message], need: int) -> list[TrimmedResult]:
    """The same part of each."""
    total = sum(estimate(message.content) for message in results)
    share = max(0.0, 1 - (need + NOTE * len(results)) / total) if total else 0.0
    return [TrimmedResult(message.tool_call_id, int(len(message.content) * share)) for message in results]


def _beyond(window: SessionWindow, need: int) -> int:
    """How many of the oldest messages have to go; what stays begins with a user's message."""
    at = 0
    for number, message in enumerate(window.messages):
        if need <= 0 and message.role is Role.USER:
            return number
        need -= estimate(message.content)
        at = number + 1
    return at
