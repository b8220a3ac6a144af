"""Texts that clients send as arrays of tokens.

A client that cuts long texts by OpenAI's tokenizer, as LangChain's does, sends the tokens and not the text. It takes
cl100k_base for a model that it does not know. No other model's tokens can be told from these, so they are no text here.
"""

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Any

from gateway.faces.http.openai.errors import BadRequest

ENCODING = "cl100k_base"
VOCABULARY = 100_256
"""The tokens of texts; those above are marks of a conversation."""


async def text_of(inputs: Sequence[str | list[int]]) -> list[str]:
    """The inputs as texts. Raises BadRequest for tokens that are those of no text."""
    if not any(isinstance(one, list) for one in inputs):
        return [one for one in inputs if isinstance(one, str)]
    encoding = await asyncio.to_thread(_encoding)
    return [_decoded(encoding, one, index) if isinstance(one, list) else one for index, one in enumerate(inputs)]


def is_tokens(value: object) -> bool:
    """Whether it is an array of tokens."""
    return isinstance(value, list) and bool(value) and all(type(one) is int for one in value)


def _decoded(encoding: Any, tokens: list[int], index: int) -> str:
    path = f"input[{index}]"
    if not all(0 <= token < VOCABULARY for token in tokens):
        raise BadRequest(f"{path} has tokens that {ENCODING} has not: send the text itself", path)
    try:
        text = encoding.decode_bytes(tokens).decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"{path} is no text in the tokens of {ENCODING}: send the text itself", path) from error
    return str(text)


@cache
def _encoding() -> Any:
    """Read when the first array comes: half a second that most processes never need."""
    import quicktok

    return quicktok.get_encoding(ENCODING)
