"""POST /v1/completions, OpenAI's older form: the body to a chat completion's, and its answer back. Pure."""

from typing import Any

import orjson

from gateway.calls.bare_fields import HARMLESS, idle
from gateway.faces.http.chat_events import chunks_of, is_over
from gateway.faces.http.openai.errors import BadRequest
from services.llm.openai.chunks import Json
from services.llm.sse import DONE_EVENT

PASSED = frozenset((
    "model", "stream", "stream_options", "temperature", "top_p", "top_k", "min_p", "max_tokens", "stop", "seed", "n",
    "presence_penalty", "frequency_penalty", "repetition_penalty", "logit_bias", "user", "metadata", *HARMLESS,
))  # fmt: skip
"""They go on to the chat completion, which knows what becomes of them."""
_HINTS = {
    "suffix": "is not supported: no model here fills in the middle",
    "echo": "is not supported: put the prompt before the answer yourself",
    "logprobs": "is not supported here: ask /v1/chat/completions",
    "best_of": "is not supported here",
}


def parse(body: Json) -> Json:
    """The body of a chat completion whose one message is the prompt. Raises BadRequest, naming the field."""
    for name, value in body.items():
        if name not in PASSED and name != "prompt" and not idle(name, value):
            raise BadRequest(f"{name} {_HINTS.get(name, 'is not supported here')}", name)
    chat = {name: value for name, value in body.items() if name in PASSED and value is not None}
    return chat | {"messages": [{"role": "user", "content": _prompt(body.get("prompt"))}]}


def _prompt(given: Any) -> str:
    """One text, also in a list."""
    prompts = given if isinstance(given, list) else [given]
    if len(prompts) > 1 and all(isinstance(one, str) for one in prompts):
        raise BadRequest(f"prompt has {len(prompts)} texts: each is a call of its own, send them one by one", "prompt")
    if prompts and isinstance(prompts[0], int | list):
        raise BadRequest("prompt has tokens, which are another text for each model: send the text itself", "prompt")
    if len(prompts) != 1 or not isinstance(prompts[0], str) or not prompts[0]:
        raise BadRequest("prompt must be a string that is not empty", "prompt")
    return prompts[0]


def completion(answer: Json) -> Json:
    """A chat completion, or a chunk of one, in the older form. What was thought is no part of it."""
    choices = [_choice(choice, place) for place, choice in enumerate(answer.get("choices") or ())]
    head = {**answer, "id": f"cmpl-{str(answer.get('id')).removeprefix('chatcmpl-')}", "object": "text_completion"}
    return head | {"choices": choices}


def events(data: bytes) -> bytes:
    """The chunks of a chat completion as those of a completion; those that say nothing are left out."""
    out = [_event(chunk) for chunk in chunks_of(data) if _says(chunk)]
    return b"".join([*out, DONE_EVENT if is_over(data) else b""])


def _choice(choice: Json, place: int) -> Json:
    message = choice.get("message") or choice.get("delta") or {}
    return {
        "index": choice.get("index", place),
        "text": message.get("content") or message.get("refusal") or "",
        "logprobs": None,
        "finish_reason": choice.get("finish_reason"),
    }


def _says(chunk: Json) -> bool:
    choices = [_choice(choice, 0) for choice in chunk.get("choices") or ()]
    return not choices or "headworks" in chunk or any(one["text"] or one["finish_reason"] for one in choices)


def _event(chunk: Json) -> bytes:
    return b"data: " + orjson.dumps(completion(chunk)) + b"\n\n"
