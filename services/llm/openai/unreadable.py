"""What a model has written in an answer that cannot be read: it is paid for all the same. Pure."""

import re

import orjson

# Where the answers of this API have text, up to its end or that of what came.
_TEXT = re.compile(
    rb'"(?:content|text|refusal|reasoning_content|reasoning|thinking|arguments)"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)',
    re.DOTALL,
)


def written_in(body: bytes) -> str:
    """The texts in a body that is cut, or no JSON, or of another form, as far as they can be known by their names."""
    return "".join(map(_unescaped, _TEXT.findall(body)))


def _unescaped(text: bytes) -> str:
    try:
        value = orjson.loads(b'"%s"' % text)
    except orjson.JSONDecodeError:
        value = text.decode(errors="replace")
    return str(value)
