"""Completions of bare models in the cache: what is compared of a question, and which answers are kept."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import orjson

from gateway.cache.entry import CHAT, Used
from gateway.cache.policy import CachePolicy
from gateway.cache.question import Asked, Question, question_of, readers
from gateway.cache.semantic.facts import LONGEST
from gateway.calls.bare_answer import NOTE
from gateway.calls.bare_request import INSTRUCTING
from gateway.calls.call import ModelCall
from services.llm.catalogue.entry import CatalogueEntry
from services.llm.openai.chunks import Json
from services.runtime.call import Call

# They bear on how an answer is sent, or where a provider looks for what it has read before.
_UNCOMPARED = frozenset(("model", "messages", "stream", "stream_options", "prompt_cache_key"))


def asked(call: Call, body: Json, entry: CatalogueEntry) -> Asked:
    """How the cache compares a request, all of whose fields may change the answer but for the few that do not."""
    return partial(_question, call, body, entry)


async def _question(call: Call, body: Json, entry: CatalogueEntry, policy: CachePolicy) -> Question | None:
    if call.identity is None:
        return None
    fields = {name: value for name, value in body.items() if name not in _UNCOMPARED}
    model = [entry.name, entry.model, entry.base_url]
    told, text = _alone(body["messages"]) if policy.semantic is not None else ((), "")
    shared = {"readers": readers(call.identity, policy), "model": model, "fields": fields, "told": told}
    try:
        return question_of(CHAT, shared, body["messages"], text=text)
    except orjson.JSONEncodeError:  # what the upstream cannot be asked either
        return None


def _alone(messages: Sequence[Json]) -> tuple[Sequence[Json], str]:
    """The messages before a question that stands alone, all of which instruct, and its text; empty for any other."""
    *told, last = messages
    text = last.get("content")
    if not isinstance(text, str) or len(text) > LONGEST or last.keys() != {"role", "content"}:
        return (), ""
    alone = last["role"] == "user" and all(each["role"] in INSTRUCTING for each in told)
    return (told, text) if alone else ((), "")


def offer(call: ModelCall, completion: Json | None) -> None:
    """Give an answer that has its end to the cache, if others may have it."""
    if not call.turn.keeps:
        return
    if completion is None or call.blocked is not None or not call.unchanged or not _is_whole(completion):
        call.turn.decline()
        return
    said = "\n".join(choice["message"]["content"] for choice in completion["choices"])
    meter = call.meter
    used = Used(meter.prompt_tokens, meter.completion_tokens, meter.cost_nanos)
    kept = {name: value for name, value in completion.items() if name != NOTE}
    call.turn.keep(CHAT, orjson.dumps(kept), used, said=said)


def _is_whole(completion: Mapping[str, Any]) -> bool:
    """Whether every choice is a text that the model has ended by itself, and calls nothing."""
    choices = completion.get("choices") or ()
    return bool(choices) and all(_is_text(choice) for choice in choices)


def _is_text(choice: Mapping[str, Any]) -> bool:
    message = choice.get("message") or {}
    calls = message.get("tool_calls") or message.get("function_call") or message.get("audio")
    said = message.get("content")
    return choice.get("finish_reason") == "stop" and isinstance(said, str) and bool(said) and not calls
