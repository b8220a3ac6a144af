"""POST /v1/embeddings: the body, and the answer."""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.faces.http.openai import fields
from gateway.faces.http.openai.errors import BadRequest
from services.runtime.errors import ModelNotFound

MODEL = "all-minilm-l6-v2"
MOST_INPUTS = 2048
LONGEST_INPUT = 32_768


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    texts: list[str]
    base64: bool


def parse(data: bytes) -> EmbeddingRequest:
    """Raises BadRequest or ModelNotFound."""
    body = fields.parse(data)
    model = fields.text(body, "model")
    if model != MODEL:
        raise ModelNotFound(model)
    if body.get("dimensions") not in (None, 384):
        raise BadRequest("dimensions must be 384, the model's own", "dimensions")
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise BadRequest("encoding_format must be float or base64", "encoding_format")
    return EmbeddingRequest(_texts(body.get("input")), encoding == "base64")


def _texts(value: object) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise BadRequest("input must be a string or a list of strings, none of them empty", "input")
    if len(texts) > MOST_INPUTS:
        raise BadRequest(f"input has {len(texts)} entries; the most is {MOST_INPUTS}", "input")
    if any(len(text) > LONGEST_INPUT for text in texts):
        raise BadRequest(f"an input may have at most {LONGEST_INPUT} characters", "input")
    return texts


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
