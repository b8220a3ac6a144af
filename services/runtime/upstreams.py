"""What goes wrong with an upstream that speaks OpenAI's API, and what is believed of what it says, for all that ask
one. Pure."""

import base64
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from services.runtime.errors import DomainError, InvalidArgument, Kind, Unavailable

LONGEST_WAIT = 3600.0
MOST_TOKENS = 1 << 17
"""Of one call: what may be hidden in it, such as thoughts and images, has no more, and no lie empties a budget."""
LONGEST_TOKEN = 16
"""Characters of a token, in the mean of a text: a count by which they had more is not possible."""
LEAST_SHARE = LONGEST_TOKEN // 4
"""The same of an estimate, which takes a token for four characters."""
SHORTEST_SECRET = 4
FRAGMENT = 12
"""So many characters in a row of a secret are as good as the secret; the ends that upstreams print are shorter."""
HIDDEN = "…"


class UpstreamUnavailable(Unavailable):
    """The upstream cannot be reached, or says that it is in trouble."""

    reason = "UPSTREAM_UNAVAILABLE"


class UpstreamTimeout(Unavailable):
    """The upstream was silent for too long."""

    reason = "UPSTREAM_TIMEOUT"


class UpstreamBroken(Unavailable):
    """The upstream's answer broke off, or is none."""

    reason = "UPSTREAM_BROKEN"


class UpstreamBusy(DomainError):
    """The upstream limits its callers, of whom this is one."""

    kind = Kind.RESOURCE_EXHAUSTED
    reason = "UPSTREAM_BUSY"


class UpstreamRefused(InvalidArgument):
    """The upstream finds the request wrong."""

    reason = "UPSTREAM_REFUSED"


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


def tokens(counted: Any, estimate: int, characters: int | None = None) -> int:
    """A number of tokens as an upstream says it; the estimate where it says none, or one that cannot be: not a whole
    number, less than a token for LONGEST_TOKEN characters, or more than MOST_TOKENS and than four times the estimate.

    `characters`: how many the text has, where the estimate counts more than the text.
    """
    if isinstance(counted, bool) or not isinstance(counted, int):
        return estimate
    least = -(-estimate // LEAST_SHARE) if characters is None else -(-characters // LONGEST_TOKEN)
    return counted if least <= counted <= max(MOST_TOKENS, 4 * estimate) else estimate


def field(values: Any, name: str) -> Any:
    """What a JSON object has under the name; None where there is none, or no object."""
    return values.get(name) if isinstance(values, dict) else None


def secrets_of(url: str, headers: Mapping[str, str]) -> tuple[str, ...]:
    """What an upstream is called with and nobody else may see: keys in headers, and credentials in its address."""
    parts = urlsplit(url)
    basic = base64.b64encode(f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()).decode()
    in_url = (
        parts.password or "",
        basic if parts.password else "",
        *(pair.partition("=")[2] for pair in parts.query.split("&")),
    )
    in_headers = (value.rpartition(" ")[2] for name, value in headers.items() if name not in _PLAIN_HEADERS)
    found = {form for one in (*in_url, *in_headers) for form in (one, unquote(one), quote(one, safe=""))}
    return tuple(sorted((one for one in found if len(one) >= SHORTEST_SECRET), key=len, reverse=True))


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """The text, with HIDDEN in place of each secret, and of each FRAGMENT of one."""
    for secret in secrets:
        text = _without(text.replace(secret, HIDDEN), secret)
    return text


def _without(text: str, secret: str) -> str:
    pieces = {secret[at : at + FRAGMENT] for at in range(len(secret) - FRAGMENT + 1)}
    if not pieces:
        return text
    out: list[str] = []
    at = shown = 0
    while at <= len(text) - FRAGMENT:
        if text[at : at + FRAGMENT] not in pieces:
            at += 1
            continue
        out += (text[shown:at], HIDDEN)
        while text[at : at + FRAGMENT] in pieces:
            at += 1
        shown = at = at + FRAGMENT - 1
    return "".join((*out, text[shown:]))


_PLAIN_HEADERS = frozenset({"content-type", "accept", "accept-encoding", "user-agent", "connection", "host"})
