"""A bare model's answer on its way to the caller: counted, held back, and ended where the gateway ends it. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from gateway.cache.turn import CacheStatus
from gateway.calls import metrics
from gateway.calls.bare_request import BareRequest
from gateway.calls.call import CONTENT_FILTER, ModelCall
from gateway.calls.collected import CollectedChunks
from gateway.calls.held import HeldStream, Part
from services.llm import errors
from services.llm.endpoint import ModelEndpoint
from services.llm.openai import logprobs, usage, words
from services.llm.openai.alike import AlikeChunks
from services.llm.openai.answer_form import CHUNK, AnswerForm
from services.llm.openai.chunks import APART, Chunk, Json, usage_json
from services.llm.openai.engine import completion, decode
from services.llm.openai.unreadable import written_in
from services.llm.route_report import RouteReport
from services.llm.sse import DONE, DONE_EVENT, EventReader, EventTooLong, data_of
from services.llm.tokens import TokenTally
from services.runtime.errors import DomainError

_END = b"\n\n"
NOTE = "headworks"
"""The field for what is beyond OpenAI's form."""


class HeldChunks(HeldStream[Chunk, bytes]):
    """A chunk whose text was let through as it is goes out as the upstream wrote it, byte for byte; only one whose text
    was changed is written anew, without the log probabilities, which repeat its text token by token."""

    def whole(self, chunk: Chunk) -> bytes:
        """A whole completion as it may go out; one that is blocked ends where the block is, and calls no tools."""
        texts = self.take_whole(chunk)
        if texts is None:
            return chunk.raw
        _put(chunk, texts)
        if self.blocked is not None:
            for choice in chunk.json["choices"]:
                choice["finish_reason"] = CONTENT_FILTER
                message = choice.get("message") or {}
                message.pop("tool_calls", None)
                message.pop("function_call", None)
        return orjson.dumps(chunk.json)

    def last(self, chunk: Chunk) -> bytes:
        """A chunk that goes out after all text."""
        texts = [self.beside(part.text) for part in chunk.parts]
        if all(text == part.text for text, part in zip(texts, chunk.parts, strict=True)):
            return chunk.raw
        _put(chunk, texts)
        return b"data: " + orjson.dumps(chunk.json)

    def _read(self, piece: Chunk) -> Iterable[Part]:
        return piece.parts

    def _write(self, piece: Chunk, texts: Sequence[str] | None, cut: bool) -> bytes:
        if texts is None:
            return piece.raw
        _put(piece, texts)
        if cut:  # it ends for another reason than the upstream's
            for choice in piece.json["choices"]:
                choice["finish_reason"] = None
        return b"data: " + orjson.dumps(piece.json)


class BareAnswer:
    """One answer of an upstream. `over`: the upstream is at its end. `failed`: the error that has ended its answer,
    to be raised when what came before it has gone out. `chunks`: how many have come. `completion`: all of it as one
    JSON, where the cache wants it. The message's end goes out last, and after it its usage, in a chunk of its own, to
    those who asked for it."""

    def __init__(
        self, call: ModelCall, request: BareRequest, endpoint: ModelEndpoint, tally: TokenTally,
        report: RouteReport | None = None,
    ) -> None:  # fmt: skip
        self._call = call
        self._note = _note(call, report)
        self._include_usage = request.include_usage
        self._choices = request.choices
        self._endpoint = endpoint
        self._tally = tally
        self._held = call.held = HeldChunks(call.screen) if call.screen is not None else None
        self._reader = EventReader()
        self._form = AnswerForm(endpoint.model, request.stream)
        self._alike = AlikeChunks()
        self._end: list[bytes] = []
        self._usage: Chunk | None = None
        self._finish_reason = ""
        self._finished: set[int] = set()
        self._counter = usage.ChunkCounter(tally)
        self._sent = False
        self._collected = CollectedChunks() if call.turn.keeps and request.stream else None
        self.completion: Json | None = None
        self.chunks = 0
        self.over = False
        self.failed: DomainError | None = None

    @property
    def endpoint(self) -> ModelEndpoint:
        return self._endpoint

    @property
    def ending(self) -> bool:
        """Whether all that was asked for has its end: only the usage may follow."""
        return len(self._finished) >= self._choices

    def whole(self, body: bytes) -> bytes:
        """The completion that a body is, as it may go out. Raises UpstreamBroken for what is none."""
        chunk = completion(self._endpoint, body, self._form.calls.mend)
        self._form.complete_whole(chunk)
        self._count((chunk,))
        self._check(chunk, event=b"")
        usage.check(self._endpoint.name, self._tally)
        told = usage.usage_of(chunk.usage, self._tally)
        if told is not chunk.usage or self._note:
            chunk.json["usage"] = told
            chunk.json |= self._note
            chunk.raw = orjson.dumps(chunk.json)
        data = chunk.raw if self._held is None else self._held.whole(chunk)
        self.completion = chunk.json
        self._call.finish(CONTENT_FILTER if self._call.blocked is not None else self._finish_reason or "stop")
        return data

    def lose(self, data: bytes) -> None:
        """Count what was written in a part of the answer that cannot be read, of which nothing goes out."""
        self._tally.add(written_in(data))
        self._count(())

    def take(self, batch: bytes | None) -> bytes:
        """The next bytes of the upstream's stream, None where it has closed it. Raises a DomainError for what is no
        answer."""
        try:
            taken = self._read(self._reader.end() if batch is None else self._reader.feed(batch))
        except EventTooLong as error:
            raise errors.broken(self._endpoint, f"has an event of {error}") from error
        self._count(taken)
        if batch is None and not self.over and self.failed is None:
            if self._finish_reason:
                self.over = True
            else:
                self.failed = errors.broken(self._endpoint, "broke off")
        ahead = [chunk for chunk in taken if not self._kept_back(chunk)]
        last = self.over or self.failed is not None
        out = [chunk.raw for chunk in ahead] if self._held is None else self._held.take(ahead, last)
        if not self._sent and out and self._note:
            out = [_told(self._note, out[0]), *out[1:]]
        if not self.over or self._call.blocked is not None:
            self._sent = self._sent or bool(out)
            return _joined(out)
        reason = self._finish_reason or ("tool_calls" if self._form.calls.made else "stop")
        self._call.finish(reason)
        usage.check(self._endpoint.name, self._tally)
        if self._collected is not None:
            used = usage.usage_of(self._tally.reported, self._tally)
            self.completion = self._collected.completion(self._form.head, self._finish_reason, used)
        end = _joined([*out, *self._end]) if self._finish_reason else _joined(out) + self._ends(reason)
        return end + self._last_chunk() + DONE_EVENT

    def stop(self, out: bytes, reason: str) -> bytes:
        """End the stream: what is held back, where no guard has ended it, and an end in place of the upstream's."""
        if self._held is not None and self._call.blocked is None:
            out += _joined(self._held.take((), last=True))
            reason = reason if self._call.blocked is None else CONTENT_FILTER
        self._call.finish(reason)
        if not (self._sent or out):
            self._form.restart()
        out += self._ends(reason)
        if self._include_usage:
            meter = self._call.meter
            used = usage_json(
                meter.prompt_tokens, meter.completion_tokens, meter.cached_tokens, meter.reasoning_tokens,
                meter.kept_tokens,
            )  # fmt: skip
            out += self._chunk([], usage=used)
        return out + DONE_EVENT

    def _read(self, events: Sequence[bytes]) -> list[Chunk]:
        read: list[Chunk] = []
        for event in events:
            data = data_of(event)
            if data == DONE:
                self.over = True
                break
            if data:
                try:
                    chunk = self._alike.read(event, data)
                    if chunk is None:
                        chunk = decode(self._endpoint, event, data, self._form.calls.mend)
                        self._check(chunk)
                        self._form.complete(chunk)
                        self._alike.learn(data, chunk, self._form.complete)
                    read.append(chunk)
                    if self._collected is not None:
                        self._collected.add(chunk)
                except DomainError as error:
                    self.lose(data)
                    if not read:
                        raise
                    self.failed = error
                    break
        return read

    def _check(self, chunk: Chunk, event: bytes = b"data: ") -> None:
        """Where guards act, leave out log probabilities that would give away what they hold back. Raises UpstreamBroken
        for what is no text, and for answers that nobody asked for."""
        if chunk.choices > self._choices:
            raise errors.broken(self._endpoint, f"has a choice more than the {self._choices} that were asked for")
        if not (chunk.stray or chunk.loose or chunk.unread) or not self._call.guarded:
            return
        if chunk.stray or chunk.loose:
            for choice in chunk.stray:
                choice["logprobs"] = None
            for choice in chunk.loose:
                logprobs.restrict(choice["logprobs"])
            chunk.raw = event + orjson.dumps(chunk.json)
        if chunk.unread:
            metrics.UNSCREENABLE.labels("answer").inc()
            raise errors.broken(self._endpoint, f"has {chunk.unread}, which the guards in force cannot read as text")

    def _count(self, taken: Sequence[Chunk]) -> None:
        tally = self._tally
        self._counter.count(taken)
        for chunk in taken:
            if chunk.finish_reason:
                self._finish_reason = chunk.finish_reason
                self._finished |= set(_finished(chunk))
            if (reported := chunk.json.get("usage")) is not None:
                tally.report(reported)
            self.chunks += not chunk.empty
        counts = tally.counts
        self._call.meter.report(
            counts.read, counts.written, counts.cached, reasoning_tokens=counts.reasoning, kept_tokens=counts.kept
        )

    def _kept_back(self, chunk: Chunk) -> bool:
        """Keep what belongs to the end. A usage stands in its own chunk alone, wherever the upstream has put it."""
        if chunk.empty and not chunk.json.keys() - words.SILENT:
            return True
        if "usage" in chunk.json:
            if chunk.usage is not None:
                self._usage = chunk
            if chunk.empty:
                return True
            if chunk.json["usage"] is not None:
                del chunk.json["usage"]
                chunk.raw = b"data: " + orjson.dumps(chunk.json)
        if chunk.empty or not chunk.finish_reason or any(part.channel is not APART for part in chunk.parts):
            return False
        self._end.append(self._last_word(chunk))
        return True

    def _ends(self, reason: str) -> bytes:
        """The end of the message, where the upstream gives none."""
        end: Json = {"logprobs": None, "finish_reason": reason}
        return self._chunk(
            [{"index": index, "delta": self._form.last_delta(index, reason), **end} for index in range(self._choices)]
        )

    def _last_word(self, chunk: Chunk) -> bytes:
        """A chunk that goes out after all text."""
        return chunk.raw if self._held is None else self._held.last(chunk)

    def _last_chunk(self) -> bytes:
        """The usage, for those who asked for it: the upstream's own chunk where it is one that can be."""
        if not self._include_usage:
            return b""
        last, told = self._usage, usage.usage_of(self._tally.reported, self._tally)
        if last is not None and last.empty and last.usage is told:
            return self._last_word(last) + _END
        return self._chunk([], usage=told)

    def _chunk(self, choices: list[Json], **more: Any) -> bytes:
        return b"data: " + orjson.dumps({**self._form.head, "object": CHUNK, "choices": choices, **more}) + _END


def as_events(whole: Chunk) -> bytes:
    """A whole completion as the events of a stream: its message, its usage, its end."""
    head = {**whole.json, "object": CHUNK}
    usage = head.pop("usage", None)
    choices = [{**choice, "delta": choice.get("message") or {}} for choice in whole.json["choices"]]
    for choice in choices:
        choice.pop("message", None)
    last = orjson.dumps({**head, "choices": [], "usage": usage})
    return b"data: %s\n\ndata: %s\n\n" % (orjson.dumps({**head, "choices": choices}), last) + DONE_EVENT


def _note(call: ModelCall, report: RouteReport | None) -> Json:
    """What a route and the cache have decided, and which prompt was used; nothing where there is none of them."""
    note: Json = {"route": report.json} if report is not None else {}
    if (prompt := call.incoming.notes.get("prompt")) is not None:
        note["prompt"] = prompt
    if call.turn.status is not CacheStatus.OFF:
        note["cache"] = call.turn.note()
    return {NOTE: note} if note else {}


def _told(note: Json, event: bytes) -> bytes:
    """A stream's first event, with the note."""
    if not (event.startswith(b"data: {") and event.endswith(b"}")) or b"\n" in event:
        return event
    return b"%s,%s" % (event[:-1], orjson.dumps(note)[1:])


def _finished(chunk: Chunk) -> Iterator[int]:
    """The choices that have their end in a chunk, by their index."""
    for place, choice in enumerate(chunk.json["choices"]):
        if choice.get("finish_reason"):
            index = choice.get("index")
            yield index if isinstance(index, int) else place


def _put(chunk: Chunk, texts: Sequence[str]) -> None:
    for part, text in reversed(list(zip(chunk.parts, texts, strict=True))):
        part.put(text)
    for choice in chunk.json.get("choices") or ():
        if choice.get("logprobs"):
            choice["logprobs"] = None


def _joined(events: Sequence[bytes]) -> bytes:
    return _END.join((*events, b"")) if events else b""
