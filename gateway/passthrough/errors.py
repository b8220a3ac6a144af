"""What goes wrong with an upstream, as errors of ours. Nothing here shows a key."""

import logging
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.passthrough.upstream import Upstream
from services.runtime.errors import DomainError, Unavailable
from services.runtime.upstreams import (
    UpstreamBroken,
    UpstreamBusy,
    UpstreamRefused,
    UpstreamUnavailable,
    retry_after,
    secrets_of,
    without_secrets,
)

log = logging.getLogger(__name__)

LONGEST_MESSAGE = 300


class UpstreamMisconfigured(Unavailable):
    """The upstream does not take what the gateway was told of it: only an operator can help."""

    reason = "UPSTREAM_MISCONFIGURED"


def answered(upstream: Upstream, status: int, headers: Mapping[str, str], body: bytes) -> DomainError:
    """The error of an answer with a status other than 200."""
    at = who(upstream)
    if status in (401, 403):
        return _misconfigured(upstream, status, f"it refused the key: look at {upstream.api_key_env or 'api_key_env'}")
    if status == 404:
        return _misconfigured(upstream, status, f"nothing at {upstream.url}, or no model {upstream.model}")
    if 300 <= status < 400:
        return _misconfigured(upstream, status, "it redirects elsewhere: give its base_url as it is")
    if status == 429:
        return UpstreamBusy(f"{at} limits requests; try again later").retry_in(retry_after(headers))
    if status >= 500 or status == 408:
        return UpstreamUnavailable(f"{at} answered {status}").retry_in(retry_after(headers))
    said = _message(upstream, body)
    return UpstreamRefused(f"{at} refused the request: {said}" if said else f"{at} answered {status}")


def told(upstream: Upstream, error: Any) -> DomainError:
    """The error that an event in the midst of a stream tells of."""
    code = str(error.get("code") or error.get("status") or "") if isinstance(error, dict) else ""
    status = int(code) if len(code) == 3 and code.isdecimal() and 400 <= int(code) < 600 else 0
    if code == "rate_limit_exceeded":
        status = 429
    if not status:
        return UpstreamUnavailable(f"{who(upstream)} ended its answer with an error")
    return answered(upstream, status, {}, orjson.dumps({"error": error}, default=str))


def broken(upstream: Upstream, how: str) -> UpstreamBroken:
    return UpstreamBroken(f"the answer of {who(upstream)} {how}")


def who(upstream: Upstream) -> str:
    return f"the upstream of the model {upstream.name!r}"


def _misconfigured(upstream: Upstream, status: int, hint: str) -> UpstreamMisconfigured:
    shown = without_secrets(hint, secrets_of(upstream.url, upstream.headers))
    log.error("upstream misconfigured", extra={"model": upstream.name, "status": status, "hint": shown})
    return UpstreamMisconfigured(f"{who(upstream)} is not set up rightly; its operator's log says more")


def _message(upstream: Upstream, body: bytes) -> str:
    """The message in an error's body, in OpenAI's form or near it; no page of HTML, and no key of ours."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    error = found.get("error", found) if isinstance(found, dict) else found
    message = (error.get("message") or error.get("detail") or "") if isinstance(error, dict) else error
    return without_secrets(str(message), secrets_of(upstream.url, upstream.headers))[:LONGEST_MESSAGE]
