"""What goes wrong with a model: one map of an upstream's faults to domain errors, whoever asks. None shows a key."""

import logging
import re
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import orjson

from services.llm.endpoint import ModelEndpoint
from services.llm.secrets import without_secrets
from services.runtime.errors import DomainError, ErrorKind, InvalidArgument, Unavailable

log = logging.getLogger(__name__)

LONGEST_MESSAGE = 300
LONGEST_WAIT = 3600.0
# The words of servers for a prompt that does not fit; none of them says so of a rate.
_TOO_LONG = re.compile(
    r"context[ _](?:length|window|size|limit)|maximum context|too many (?:input |prompt )?tokens|"
    r"(?:prompt|input|inputs|request|conversation)(?: length)? (?:is|are) too (?:long|large)|"
    r"(?:prompt|input) is longer than|exceeds? (?:the |its |your )?(?:model'?s? )?(?:maximum|max|configured)\b.{0,60}?"
    r"\b(?:tokens?|length|limit)\b|input token count|(?:input|prompt) tokens (?:exceed|must)|"
    r"`inputs` tokens|(?:maximum|max) (?:input|prompt|sequence) length|max(?:imum)?[ _](?:seq|model)[ _]len|"
    r"reduce the length of the (?:messages|prompt|input)|current length is \d+.{0,40}limit is",
    re.IGNORECASE | re.DOTALL,
)
_ANSWER_TOO_LONG = re.compile(r"max_(?:completion_)?tokens\W.{0,30}?(?:is )?too large", re.IGNORECASE)
_NUMBER = r"(\d[\d,]*)"
_LIMIT = (
    re.compile(r"\d \+ \d+ > (\d+)"),
    re.compile(
        rf"(?:context length|context window|context size|context limit|maximum context)\D{{0,40}}?{_NUMBER}",
        re.IGNORECASE,
    ),
    re.compile(rf"(?:maximum|max|limit|at most)\D{{0,60}}?{_NUMBER}", re.IGNORECASE),
    re.compile(rf"tokens? > {_NUMBER}", re.IGNORECASE),
    re.compile(rf"longer than\D{{0,40}}?{_NUMBER}", re.IGNORECASE),
)
_PROMPT = (
    re.compile(r"(\d+) \+ \d+ > \d"),
    re.compile(r"(?:at least )?(\d[\d,]*) (?:input|prompt) tokens", re.IGNORECASE),
    re.compile(r"(?:token count|current length is)\D{0,5}?(\d[\d,]*)", re.IGNORECASE),
    re.compile(r"(?:request|prompt|input)(?: is too long)?\s?[:(] ?(\d[\d,]*) tokens", re.IGNORECASE),
    re.compile(r"(\d+) in the (?:messages|prompt)", re.IGNORECASE),
    re.compile(r"resulted in (\d+) tokens", re.IGNORECASE),
    re.compile(r"(?:requested|has|contains|of) (\d+) tokens", re.IGNORECASE),
)
_SENTENCE = "This model's maximum context length is exceeded."
LENGTH_CODE = "context_length_exceeded"
# The same in the words that other servers have in their `code`, `type` or `status`.
_LENGTH_CODES = frozenset((LENGTH_CODE, "exceed_context_size_error", "context_window_exceeded"))
_BUSY_CODES = frozenset(("rate_limit_exceeded", "insufficient_quota", "rate_limit_error", "resource_exhausted"))
_KINDS = ("code", "type", "status")
_FACT = re.compile(r"[\w.\[\]-]{1,100}", re.ASCII)
# Types of errors within a stream that are the request's fault.
_REQUEST_KINDS = frozenset(("invalid_request_error", "badrequesterror", "invalid_argument"))
_FAILED = (408, 424)
"""Statuses below 500 by which a server says that it, or the model behind it, has failed."""
IN_STREAM = 500
"""The status that an error within a stream has where it says none."""


class UpstreamUnavailable(Unavailable):
    """The upstream cannot be reached, or says that it is in trouble."""

    reason = "UPSTREAM_UNAVAILABLE"


class UpstreamUnreachable(UpstreamUnavailable):
    """It never had the question."""


class UpstreamTimeout(Unavailable):
    """The upstream was silent for too long, or took longer than the catalogue allows."""

    reason = "UPSTREAM_TIMEOUT"


class UpstreamBroken(Unavailable):
    """The upstream's answer broke off, or is none."""

    reason = "UPSTREAM_BROKEN"


class UpstreamMisconfigured(Unavailable):
    """The upstream does not take what the catalogue says of it: only an operator can help, and the log says how."""

    reason = "UPSTREAM_MISCONFIGURED"


class UpstreamBusy(DomainError):
    """The upstream limits its callers, of whom this is one."""

    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "UPSTREAM_BUSY"


class UpstreamRefused(InvalidArgument):
    """The upstream finds the request wrong."""

    reason = "UPSTREAM_REFUSED"


class ContextTooLong(InvalidArgument):
    """Prompt and answer do not fit into the model's context."""

    reason = "CONTEXT_TOO_LONG"

    @classmethod
    def counted(cls, prompt_tokens: int, max_tokens: int, context_length: int) -> "ContextTooLong":
        """The error of a model that has counted its prompt."""
        return cls(
            f"This model's maximum context length is {context_length} tokens. However, the prompt has {prompt_tokens} "
            f"tokens and the answer may have {max_tokens}. Please reduce the length of the messages or of the answer.",
            prompt_tokens=str(prompt_tokens),
            max_tokens=str(max_tokens),
            context_length=str(context_length),
            **({"param": "max_tokens"} if prompt_tokens < min(max_tokens, context_length) else {}),
        )


def answered(endpoint: ModelEndpoint, status: int, headers: Mapping[str, str], body: bytes) -> DomainError:
    """The error of an answer with a status other than 200."""
    at = who(endpoint)
    if status in (401, 403):
        return misconfigured(endpoint, f"it refused the key: look at {endpoint.key_name or 'api_key_env'}", status)
    if status == 404:
        return misconfigured(endpoint, f"nothing at {endpoint.url}, or no model {endpoint.model!r}", status)
    if 300 <= status < 400:
        return misconfigured(endpoint, "it redirects elsewhere: give its base_url as it is", status)
    if status == 402:
        return misconfigured(endpoint, "it wants to be paid: look at the account behind the key", status)
    if status >= 500 or status in _FAILED:
        return UpstreamUnavailable(f"{at} answered {status}").retry_in(retry_after(headers))
    if 200 <= status < 300:
        return broken(endpoint, f"has the status {status}, which no answer has")
    message, facts, kinds = _message(endpoint, body)
    if status == 429 or kinds & _BUSY_CODES:
        code = {"code": facts["code"]} if "code" in facts else {}
        return UpstreamBusy(f"{at} limits requests; try again later", **code).retry_in(retry_after(headers))
    if status == 413 or kinds & _LENGTH_CODES or _TOO_LONG.search(message):
        return _too_long(endpoint, message)
    told = f"{at} refused the request: {message}" if message else f"{at} answered {status}"
    return UpstreamRefused(told, **facts).saying(message)


def within_stream(endpoint: ModelEndpoint, error: Any) -> DomainError:
    """The error that an event in the midst of a stream reports, or a body of the status 200."""
    fields = error if isinstance(error, dict) else {"message": str(error)}
    code = str(fields.get("code") or fields.get("status") or "")
    status = int(code) if len(code) == 3 and code.isdecimal() and 400 <= int(code) < 600 else 0
    body = orjson.dumps({"error": fields}, default=str)
    message, facts, kinds = _message(endpoint, body)
    if not status and kinds & _BUSY_CODES:
        status = 429
    elif not status and (kinds & (_LENGTH_CODES | _REQUEST_KINDS) or _TOO_LONG.search(message)):
        status = 400
    if status and (status < 500 and status not in _FAILED):
        return answered(endpoint, status, {}, body)
    said = f": {message}" if message else ""
    return UpstreamUnavailable(
        f"{who(endpoint)} ended its answer with an error, as good as a status {status or IN_STREAM}{said}", **facts
    ).saying(message)


def broken(endpoint: ModelEndpoint, how: str) -> UpstreamBroken:
    return UpstreamBroken(f"the answer of {who(endpoint)} {how}")


def who(endpoint: ModelEndpoint) -> str:
    return f"the upstream of the model {endpoint.name!r}"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a number of them or from a date; None where there is neither."""
    given = headers.get("retry-after", "")
    try:
        seconds = float(given)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(given).timestamp() - time()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), LONGEST_WAIT) if seconds == seconds else None


def misconfigured(endpoint: ModelEndpoint, hint: str, status: int = 0) -> UpstreamMisconfigured:
    """`hint` is what the operator's log is told; `status` the upstream's, 0 where it was not asked."""
    shown = without_secrets(hint, endpoint.secrets)
    log.error("upstream misconfigured", extra={"model": endpoint.name, "status": status, "hint": shown})
    return UpstreamMisconfigured(f"{who(endpoint)} is not set up rightly; its operator's log says more")


def _too_long(endpoint: ModelEndpoint, message: str) -> ContextTooLong:
    """With both lengths, where the upstream gives them."""
    limit = _found(_LIMIT, message)
    prompt = _found(_PROMPT, message)
    length = limit or str(endpoint.context_length or "")
    # LiteLLM and others know the error by this sentence of OpenAI's.
    text = f"This model's maximum context length is {length} tokens." if length else _SENTENCE
    if prompt:
        text += f" However, your messages resulted in {prompt} tokens."
    elif message and not length:
        text += f" The upstream said: {message}"
    text += " Please reduce the length of the messages or of the answer."
    param = "max_tokens" if _ANSWER_TOO_LONG.search(message) else ""
    details = {"prompt_tokens": prompt, "context_length": length, "param": param}
    return ContextTooLong(text, **{name: value for name, value in details.items() if value}).saying(message)


def _found(forms: Sequence[re.Pattern[str]], message: str) -> str:
    """The number that the first of these forms finds; empty where none does."""
    found = next((found for form in forms if (found := form.search(message))), None)
    return found[1].replace(",", "") if found else ""


def _message(endpoint: ModelEndpoint, body: bytes) -> tuple[str, dict[str, str], frozenset[str]]:
    """The message in an error's body, in OpenAI's form or near it; its `code` and `param`, where they are words; and
    what it says of its kind, in small letters. No page of HTML, and no secret."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", {}, frozenset()
    value = value[0] if isinstance(value, list) and value else value  # as Google's servers have it
    error = value.get("error", value) if isinstance(value, dict) else value
    if not isinstance(error, str | dict):
        return "", {}, frozenset()
    fields = error if isinstance(error, dict) else {"message": error}
    message = without_secrets(_text(fields.get("message") or fields.get("detail")), endpoint.secrets)
    facts = {name: fields.get(name) for name in ("code", "param")}
    words = {name: without_secrets(fact, endpoint.secrets) for name, fact in facts.items() if isinstance(fact, str)}
    kinds = frozenset(word.lower() for name in _KINDS if isinstance(word := fields.get(name), str))
    told = {name: word for name, word in words.items() if _FACT.fullmatch(word)}
    return message[:LONGEST_MESSAGE], told, kinds


def _text(value: Any) -> str:
    """What should be a text; empty for what is nested too deeply to be shown."""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode() if value else ""
    except TypeError:
        return ""
