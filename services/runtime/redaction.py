"""What must not reach logs and traces: personal data and secrets by their shape, content by the name of its field.

The one home of what of a caller's own words may be logged: short, without secrets, with nothing that a terminal or a
reader of lines takes for more than text. Cheap before thorough: it runs on each field of each line. Guards, which
decide what may be said, are the gateway's.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

# Fields that hold what people or models wrote; of those only the length is logged.
CONTENT = frozenset(
    {
        "answer", "arguments", "body", "chunk", "completion", "content", "document", "draft", "input", "messages",
        "output", "passage", "passages", "prompt", "query", "question", "quote", "reply", "request", "response",
        "text", "transcript",
    }
)  # fmt: skip
LONGEST_LINE = 500
LONGEST_FIELD = 1_000
LONGEST = 20_000
LONGEST_IDENTIFIER = 128
DEPTH = 8
_SHORTEST = 6
_OFTEN = 100

_EMAIL = re.compile(r"[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63}){1,8}")
_KEY = re.compile(
    r"\bhw_[A-Za-z0-9_\-]{8,}"
    r"|\bsk-[A-Za-z0-9_\-]{8,}"
    r"|\beyJ[A-Za-z0-9_\-]{5,}\.[A-Za-z0-9_\-]{5,}(?:\.[A-Za-z0-9_\-]*)?"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\b(?:gh[pousr]|github_pat|xox[abpr]|glpat)[_\-][A-Za-z0-9_\-]{10,}"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[^-]{0,8000}(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?"
)
_BEARER = re.compile(r"\b(bearer)\s+[A-Za-z0-9+/=_.~\-]{15,}|\b(basic)\s+[A-Za-z0-9+/]{8,}={1,2}", re.IGNORECASE)
_NAMED = re.compile(
    r"\b((?:api[_\-]?key|password|passwd|secret|access[_\-]?token|client[_\-]?secret)[\"']?\s{0,3}[:=]\s{0,3})"
    r"[\"']?[^\s\"',;&}]{4,}",
    re.IGNORECASE,
)
_IN_URL = re.compile(r"(://[^\s/:@]{0,64}:)[^\s/@]{1,256}@")
_USER = re.compile(r"(://)[^\s/:@]{1,256}@")
_QUERY = re.compile(r"(/[^\s?\"'<>/]{0,256})\?[^\s\"'<>]+")
# Control characters but line breaks and tabs, and those that are not seen or turn the order of others around.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_IDENTIFIER = re.compile(r"[A-Za-z0-9._:/+=-]+")
_CARD = re.compile(r"(?<![A-Za-z0-9_\-.])\d(?:[ \-]?\d){12,18}(?![A-Za-z0-9_\-])")
_DIGIT = re.compile(r"\d[ \-]?\d{2}[ \-]?\d")
# How libraries show the value that they could not take: pydantic, SQLAlchemy, jsonschema.
_SHOWN = re.compile(r"(input_value=).*?(?=, input_type=)|(\[parameters: )[^\n]*|(On instance).*?(?=\n\S|\Z)", re.DOTALL)

_QUOTED = re.compile(r"'(?=[^']{0,400} )[^']{12,}'|\"(?=[^\"]{0,400} )[^\"]{12,}\"")


def redact(text: str) -> str:
    """The text without e-mail addresses, keys, tokens, passwords, the queries of URLs and card numbers, LONGEST
    characters at most; control characters are escaped."""
    if len(text) < _SHORTEST and text.isprintable():
        return text
    return _short(text) if len(text) <= _OFTEN else _redact(text)


def _redact(text: str) -> str:
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}… ({len(text)} characters)"
    if not text.isprintable():
        text = _UNSEEN.sub(_escaped, text)
    if "/" in text and "?" in text:
        text = _QUERY.sub(r"\1?[query]", text)
    if ":/" in text and "@" in text:
        text = _USER.sub(r"\1[user]@", _IN_URL.sub(r"\1[password]@", text))
    if "@" in text:
        text = _EMAIL.sub("[email]", text)
    text = _BEARER.sub(lambda found: f"{found[1] or found[2]} [token]", text)
    text = _KEY.sub("[key]", text)
    if ":" in text or "=" in text:
        text = _NAMED.sub(r"\1[secret]", text)
    if _DIGIT.search(text):
        text = _CARD.sub(_card, text)
    return text


# Methods, names and ids come again and again.
_short = lru_cache(4096)(_redact)


def identifier(text: str) -> str:
    """The text, where it is an id that may be logged as it is and handed on in a header; empty for any other."""
    plain = len(text) <= LONGEST_IDENTIFIER and _IDENTIFIER.fullmatch(text)
    return text if plain and redact(text) == text else ""


def shown(text: str, longest: int = LONGEST_FIELD) -> str:
    """What a caller gave, such as the name of a model, as logs and the audit may have it."""
    if len(text) <= _OFTEN <= longest:
        return _short(text)
    return redact(text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)")


def redact_traceback(text: str) -> str:
    """A traceback, each of its lines LONGEST_LINE characters at most, without the values that errors show."""
    text = _SHOWN.sub(lambda found: f"{next(filter(None, found.groups()))}[redacted]", text)
    return redact(
        "\n".join(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…" for line in text.split("\n"))
    )


def redact_message(text: str) -> str:
    """An exception's message: its first line, without values of several words in quotes."""
    first, *more = _SHOWN.sub("[redacted]", text).split("\n")
    first = _QUOTED.sub("[text]", first)[:LONGEST_LINE]
    return redact(f"{first} [and {len(more)} lines]" if more else first)


def redact_field(name: str, value: object, depth: int = 0) -> object:
    """A field of a log line or of a span, whatever it holds."""
    if value is None or isinstance(value, int | float):
        return value
    if name in CONTENT:
        return f"[{len(value)} characters]" if isinstance(value, str | bytes) else "[redacted]"
    if isinstance(value, str):
        return shown(value)
    if depth >= DEPTH:
        return "[redacted]"
    if isinstance(value, Mapping):
        return {shown(named := str(key)): redact_field(named, each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_field("", each, depth + 1) for each in value]
    return shown(str(value))


def _escaped(found: "re.Match[str]") -> str:
    return f"\\u{ord(found[0]):04x}"


def _card(found: "re.Match[str]") -> str:
    digits = [int(character) for character in found[0] if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return "[card]" if (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 else found[0]
