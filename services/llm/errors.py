"""What goes wrong with a model: one map of an upstream's faults to domain errors, whoever asks. None shows a key."""

import logging
import re
from collections.abc import Mapping
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
_TOO_LONG = re.compile(r"context[ _](length|window)|too many tokens|prompt is too long", re.IGNORECASE)
_LIMIT = re.compile(r"(?:context length|context window|maximum context)\D{0,40}?(\d+)", re.IGNORECASE)
_PROMPT = (
    re.compile(r"(?:at least )?(\d+) (?:input|prompt) tokens", re.IGNORECASE),
    re.compile(r"(\d+) in the (?:messages|prompt)", re.IGNORECASE),
    re.compile(r"(?:resulted in|requested|has|contains|of) (\d+) tokens", re.IGNORECASE),
)
LENGTH_CODE = "context_length_exceeded"
_FACT = re.compile(r"[\w.\[\]-]{1,100}", re.ASCII)
_STATUS_OF_CODE = {"rate_limit_exceeded": 429, LENGTH_CODE: 400}
IN_STREAM = 500
"""The status that an error within a stream has where it says none."""


class UpstreamUnavailable(Unavailable):
    """The upstream cannot be reached, or says that it is in trouble."""

    reason = "UPSTREAM_UNAVAILABLE"


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
            f"the prompt has {prompt_tokens} tokens and the answer may have {max_tokens}, which is more than the "
            f"model's maximum context length of {context_length}",
            prompt_tokens=str(prompt_tokens),
            max_tokens=str(max_tokens),
            context_length=str(context_length),
        )


def answered(endpoint: ModelEndpoint, status: int, headers: Mapping[str, str], body: bytes) -> DomainError:
    """The error of an answer with a status other than 200."""
    at = who(endpoint)
    if status in (401, 403):
        return _misconfigured(endpoint, status, f"it refused the key: look at {endpoint.key_name or 'api_key_env'}")
    if status == 404:
        return _misconfigured(endpoint, status, f"nothing at {endpoint.url}, or no model {endpoint.model!r}")
    if 300 <= status < 400:
        return _misconfigured(endpoint, status, "it redirects elsewhere: give its base_url as it is")
    if status == 429:
        return UpstreamBusy(f"{at} limits requests; try again later").retry_in(retry_after(headers))
    if status >= 500 or status == 408:
        return UpstreamUnavailable(f"{at} answered {status}").retry_in(retry_after(headers))
    message, facts = _message(endpoint, body)
    if status == 413 or facts.get("code") == LENGTH_CODE or _TOO_LONG.search(message):
        return _too_long(endpoint, message)
    return UpstreamRefused(f"{at} refused the request: {message}" if message else f"{at} answered {status}", **facts)


def within_stream(endpoint: ModelEndpoint, error: Any) -> DomainError:
    """The error that an event in the midst of a stream reports, or a body of the status 200."""
    fields = error if isinstance(error, dict) else {"message": str(error)}
    code = str(fields.get("code") or fields.get("status") or "")
    status = _STATUS_OF_CODE.get(code, 0)
    if len(code) == 3 and code.isdecimal() and 400 <= int(code) < 600:
        status = int(code)
    if not status:
        return UpstreamUnavailable(f"{who(endpoint)} ended its answer with an error, as good as a status {IN_STREAM}")
    return answered(endpoint, status, {}, orjson.dumps({"error": fields}, default=str))


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


def _misconfigured(endpoint: ModelEndpoint, status: int, hint: str) -> UpstreamMisconfigured:
    shown = without_secrets(hint, endpoint.secrets)
    log.error("upstream misconfigured", extra={"model": endpoint.name, "status": status, "hint": shown})
    return UpstreamMisconfigured(f"{who(endpoint)} is not set up rightly; its operator's log says more")


def _too_long(endpoint: ModelEndpoint, message: str) -> ContextTooLong:
    """With both lengths, where the upstream gives them."""
    limit = _LIMIT.search(message)
    prompt = next((found for form in _PROMPT if (found := form.search(message))), None)
    length = limit[1] if limit else str(endpoint.context_length or "")
    if prompt and length:
        text = (
            f"{prompt[1]} tokens of the prompt and its answer are over the model's maximum context length of {length}"
        )
    elif length:
        text = f"prompt and answer are longer than the model's maximum context length of {length} tokens"
    else:
        text = "prompt and answer are longer than the model's maximum context length"
    details = {"prompt_tokens": prompt[1] if prompt else "", "context_length": length}
    return ContextTooLong(text, **{name: value for name, value in details.items() if value})


def _message(endpoint: ModelEndpoint, body: bytes) -> tuple[str, dict[str, str]]:
    """The message in an error's body, in OpenAI's form or near it, and its `code` and `param`, where they are words; no
    page of HTML, and no secret."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", {}
    error = value.get("error", value) if isinstance(value, dict) else value
    if not isinstance(error, str | dict):
        return "", {}
    fields = error if isinstance(error, dict) else {"message": error}
    message = without_secrets(_text(fields.get("message") or fields.get("detail")), endpoint.secrets)
    facts = {name: fields.get(name) for name in ("code", "param")}
    words = {name: without_secrets(fact, endpoint.secrets) for name, fact in facts.items() if isinstance(fact, str)}
    return message[:LONGEST_MESSAGE], {name: word for name, word in words.items() if _FACT.fullmatch(word)}


def _text(value: Any) -> str:
    """What should be a text; empty for what is nested too deeply to be shown."""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode() if value else ""
    except TypeError:
        return ""
