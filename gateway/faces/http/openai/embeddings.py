"""POST /v1/embeddings: the body, and the answer."""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.calls.bare_fields import idle
from gateway.faces.http.openai import fields
from gateway.faces.http.openai.errors import BadRequest
from gateway.faces.http.openai.token_arrays import is_tokens
from services.runtime.errors import ModelNotFound
from services.runtime.triton import EMBED_TOKENS

MODEL = "all-minilm-l6-v2"
KNOWN = ("model", "input", "encoding_format", "dimensions", "user")
MOST_INPUTS = 2048
LONGEST_INPUT = 16_384
"""Characters: no text that fits into the model has more."""
MOST_TOKENS = 8192
WIDTH = 384


class TextTooLong(BadRequest):
    """No text that fits into the model is so long."""

    reason = "CONTEXT_TOO_LONG"

    def __init__(self, message: str, param: str) -> None:
        super().__init__(f"{message}: this model's maximum context length is {EMBED_TOKENS} tokens", param)


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """`inputs` are texts, or arrays of tokens."""

    inputs: list[str | list[int]]
    base64: bool


def parse(data: bytes) -> EmbeddingRequest:
    """Raises BadRequest or ModelNotFound."""
    body = fields.parse(data)
    for name, value in body.items():
        if name not in KNOWN and not idle(name, value):
            raise BadRequest(f"{name} is not supported by the embedder", name)
    model = fields.text(body, "model")
    if model != MODEL:
        raise ModelNotFound(model)
    if body.get("dimensions") not in (None, WIDTH):
        raise BadRequest("dimensions must be 384, the model's own", "dimensions")
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise BadRequest("encoding_format must be float or base64", "encoding_format")
    return EmbeddingRequest(_inputs(body.get("input")), encoding == "base64")


def _inputs(value: object) -> list[str | list[int]]:
    """One text or array of tokens, or a list of them."""
    if (isinstance(value, str) and value) or is_tokens(value):
        return [_input(value, "input")]
    if not isinstance(value, list) or not value:
        raise BadRequest("input must be a string, an array of tokens, or a list of them, none of them empty", "input")
    if len(value) > MOST_INPUTS:
        raise BadRequest(f"input has {len(value)} entries; the most is {MOST_INPUTS}", "input")
    return [_input(one, f"input[{index}]") for index, one in enumerate(value)]


def _input(value: Any, path: str) -> str | list[int]:
    if is_tokens(value):
        if len(value) > MOST_TOKENS:
            raise TextTooLong(f"{path} has {len(value)} tokens; the most is {MOST_TOKENS}", path)
        return list(value)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"{path} must be a string or an array of tokens, and not empty", path)
    if len(value) > LONGEST_INPUT:
        raise TextTooLong(f"{path} has {len(value)} characters; the most is {LONGEST_INPUT}", path)
    return value


def response(vectors: npt.NDArray[np.float32], tokens: int, as_base64: bool) -> dict[str, Any]:
    """The answer to `vectors`, float32 [n, 384]. They stay arrays: orjson writes float32 in half the digits that Python
    needs for the same numbers."""
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector.tobytes()).decode() if as_base64 else vector,
        }
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": MODEL, "usage": usage}
