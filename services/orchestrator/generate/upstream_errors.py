"""What goes wrong with an upstream, as errors of ours; pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from services.orchestrator.generate.entry import Entry
from services.runtime.errors import DomainError, InvalidArgument, Kind
from services.runtime.upstreams import (
    UpstreamBusy,
    UpstreamRefused,
    UpstreamUnavailable,
    retry_after,
    without_secrets,
)

LONGEST_MESSAGE = 300
RETRYABLE = frozenset({408, 500, 502, 503, 504, 529})
_TOO_LONG = re.compile(r"context[ _](length|window)|too many tokens|prompt is too long", re.IGNORECASE)
_LIMIT = re.compile(r"(?:context length|context window|maximum context)\D{0,40}?(\d+)", re.IGNORECASE)
_PROMPT = (
    re.compile(r"(?:at least )?(\d+) (?:input|prompt) tokens", re.IGNORECASE),
    re.compile(r"(\d+) in the (?:messages|prompt)", re.IGNORECASE),
    re.compile(r"(?:resulted in|requested|has|contains|of) (\d+) tokens", re.IGNORECASE),
)


class UpstreamMisconfigured(DomainError):
    """The upstream does not take what the catalogue says of it."""

    kind = Kind.FAILED_PRECONDITION
    reason = "UPSTREAM_MISCONFIGURED"


class ContextTooLong(InvalidArgument):
    """Prompt and answer do not fit into the model's context."""

    reason = "CONTEXT_TOO_LONG"


def answered(
    entry: Entry, status: int, headers: Mapping[str, str], body: bytes, secrets: Iterable[str] = ()
) -> DomainError:
    """The error of an answer with a status other than 200. `secrets` are what the upstream was called with."""
    message, code = _said(body, secrets)
    at = f"the upstream of the model {entry.name!r}"
    if status in (401, 403):
        return UpstreamMisconfigured(f"{at} refused the key {_key(entry)}", model=entry.name)
    if status == 404:
        return UpstreamMisconfigured(f"{at} has no model {entry.model!r}, or nothing at its base_url", model=entry.name)
    if status == 429:
        return UpstreamBusy(f"{at} limits requests; try again later").retry_in(retry_after(headers))
    if status in RETRYABLE or status >= 500:
        return UpstreamUnavailable(f"{at} answered {status}").retry_in(retry_after(headers))
    if 300 <= status < 400:
        return UpstreamMisconfigured(f"{at} redirects elsewhere: give its base_url as it is", model=entry.name)
    if status == 413 or code == "context_length_exceeded" or _TOO_LONG.search(message):
        return too_long(entry, message)
    if not message:
        return UpstreamRefused(f"{at} answered {status}")
    return UpstreamRefused(f"{at} refused the request: {message}")


def told(entry: Entry, error: Any, secrets: Iterable[str] = ()) -> DomainError:
    """The error that an event in the midst of a stream tells of."""
    said = error if isinstance(error, dict) else {"message": str(error)}
    code = str(said.get("code"))
    status = int(code) if len(code) == 3 and code.isdecimal() and 400 <= int(code) < 600 else 500
    if code == "rate_limit_exceeded":
        status = 429
    elif code == "context_length_exceeded":
        status = 400
    return answered(entry, status, {}, orjson.dumps({"error": said}, default=str), secrets)


def too_long(entry: Entry, message: str) -> ContextTooLong:
    """With both lengths, where the upstream gives them."""
    limit = _LIMIT.search(message)
    prompt = next((found for form in _PROMPT if (found := form.search(message))), None)
    length = limit[1] if limit else str(entry.context_length or "")
    if prompt and length:
        text = f"the prompt has {prompt[1]} tokens, with its answer more than the model's context of {length}"
    elif length:
        text = f"prompt and answer are longer than the model's context of {length} tokens"
    else:
        text = "prompt and answer are longer than the model's context"
    details = {"prompt_tokens": prompt[1] if prompt else "", "context_length": length}
    return ContextTooLong(text, **{name: value for name, value in details.items() if value})


def _said(body: bytes, secrets: Iterable[str]) -> tuple[str, str]:
    """The message and the code in an error's body, in OpenAI's form or near it; no page of HTML, and no secret."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", ""
    error = found.get("error", found) if isinstance(found, dict) else found
    if not isinstance(error, str | dict):
        return "", ""
    fields = error if isinstance(error, dict) else {"message": error}
    message = without_secrets(str(fields.get("message") or fields.get("detail") or ""), secrets)
    return message[:LONGEST_MESSAGE], str(fields.get("code") or "")


def _key(entry: Entry) -> str:
    if entry.api_key_env:
        return f"named {entry.api_key_env}"
    return f"in {entry.api_key_file}" if entry.api_key_file else "of none: the catalogue names no api_key_env"
