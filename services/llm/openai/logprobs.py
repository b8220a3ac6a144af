"""Log probabilities, which repeat a text token by token: whether they do, and what else they say. Pure."""

from collections.abc import Iterator
from typing import Any

_LISTS = ("content", "refusal")
_FIELDS = frozenset(("token", "logprob", "bytes", "top_logprobs"))
_LONGEST_TOKEN = 64
"""Characters that a token has at most, such as of white space; an alternative that is longer is a text of its own."""


def stray_text(logprobs: Any, said: str) -> str | None:
    """None where the tokens are those of the text that was said beside them; else what they say that it does not."""
    tokens = list(_tokens(logprobs))
    text = "".join(str(token.get("token")) for token in tokens)
    long = "".join(each for token in tokens for each in _alternatives(token) if len(each) > _LONGEST_TOKEN)
    if text.strip() == said.strip() and not long and _is_known(logprobs):
        return None
    rest = "" if _is_known(logprobs) else _strings(logprobs)
    return max(text[len(said) :] + long, rest[len(said) :], key=len)


def are_strict(logprobs: Any) -> bool:
    """Whether they say nothing but their tokens, once more as bytes at the most."""
    return all(
        token.keys() <= _FIELDS
        and not token.get("top_logprobs")
        and isinstance(token.get("logprob", 0.0), int | float)
        and (token.get("bytes") is None or token["bytes"] == _bytes(token.get("token")))
        for token in _tokens(logprobs)
    )


def restrict(logprobs: Any) -> None:
    """Leave in them their tokens and how probable these are."""
    for token in _tokens(logprobs):
        logprob = token.get("logprob", 0.0)
        number = logprob if isinstance(logprob, int | float) else 0.0
        same = token.get("bytes") == _bytes(token.get("token"))
        kept = {"token": token.get("token"), "logprob": number, "bytes": token["bytes"] if same else None}
        token.clear()
        token.update({**kept, "top_logprobs": []})


def _is_known(logprobs: Any) -> bool:
    """Whether they are lists of tokens, as the API has them."""
    return (
        isinstance(logprobs, dict)
        and all(not value or (name in _LISTS and isinstance(value, list)) for name, value in logprobs.items())
        and all(isinstance(token, dict) for value in logprobs.values() for token in value or ())
    )


def _tokens(logprobs: Any) -> Iterator[dict[str, Any]]:
    for value in logprobs.values() if isinstance(logprobs, dict) else ():
        if isinstance(value, list):
            yield from (token for token in value if isinstance(token, dict))


def _alternatives(token: dict[str, Any]) -> Iterator[str]:
    others = token.get("top_logprobs")
    for other in others if isinstance(others, list) else ():
        yield str(other.get("token")) if isinstance(other, dict) else str(other)


def _bytes(token: Any) -> list[int] | None:
    return list(token.encode("utf-8", "surrogatepass")) if isinstance(token, str) else None


def _strings(value: Any) -> str:
    """All texts in a value of any form."""
    if isinstance(value, dict):
        return "".join(f"{key}{_strings(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "".join(map(_strings, value))
    return value if isinstance(value, str) else ""
