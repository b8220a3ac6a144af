"""What an upstream is called with and nobody else may see, and texts without it. Pure."""

import base64
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote, urlsplit

SHORTEST_SECRET = 4
FRAGMENT = 12
"""So many characters in a row of a secret are as good as the secret; the ends that upstreams print are shorter."""
HIDDEN = "…"
_PLAIN_HEADERS = frozenset({"content-type", "accept", "accept-encoding", "user-agent", "connection", "host"})


def secrets_of(url: str, headers: Mapping[str, str]) -> tuple[str, ...]:
    """Keys in headers, and credentials in the address."""
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
