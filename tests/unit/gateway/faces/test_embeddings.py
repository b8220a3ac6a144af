"""The embeddings' body and answer."""

import base64
import json
from typing import Any

import numpy as np
import orjson
import pytest
from openai.types import CreateEmbeddingResponse

from gateway.faces.http.openai import embeddings
from gateway.faces.http.openai.errors import BadRequest
from gateway.faces.http.openai.errors import body as error_body
from gateway.faces.http.openai.token_arrays import text_of
from services.runtime.errors import ModelNotFound


def body(**changes: Any) -> bytes:
    fine = {"model": embeddings.MODEL, "input": "a"}
    return json.dumps({name: value for name, value in (fine | changes).items() if value != "absent"}).encode()


@pytest.mark.parametrize(
    ("data", "texts", "as_base64"),
    [
        (body(), ["a"], False),
        (body(input=["a", "語"]), ["a", "語"], False),
        (body(encoding_format="base64", dimensions=384), ["a"], True),
        (body(encoding_format=None, dimensions=None, user="u"), ["a"], False),
        (body(input=["x"] * 2048), ["x"] * 2048, False),
        (body(input="x" * 16_384), ["x" * 16_384], False),
        (body(input=[15339, 1917]), [[15339, 1917]], False),
        (body(input=[[15339], "a", [0]]), [[15339], "a", [0]], False),
        (body(input=[[7] * 8192]), [[7] * 8192], False),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_read(data: bytes, texts: list[Any], as_base64: bool) -> None:
    asked = embeddings.parse(data)
    assert (asked.inputs, asked.base64) == (texts, as_base64)


@pytest.mark.parametrize(
    ("data", "param"),
    [
        (b"{", ""),
        (b"[]", ""),
        (body(model="absent"), "model"),
        (body(model=7), "model"),
        (body(input="absent"), "input"),
        (body(input=""), "input"),
        (body(input=[]), "input"),
        (body(input=["a", ""]), "input[1]"),
        (body(input=["a", None]), "input[1]"),
        (body(input=7), "input"),
        (body(input=[1, 2.5, 3]), "input[0]"),
        (body(input=[1, True]), "input[0]"),
        (body(input=[[1, 2], []]), "input[1]"),
        (body(input=[[1], [[2]]]), "input[1]"),
        (body(input=[7] * 8193), "input"),
        (body(input=["a", [7] * 8193]), "input[1]"),
        (body(input={"a": 1}), "input"),
        (body(input=["x"] * 2049), "input"),
        (body(input=["a", "x" * 16_385]), "input[1]"),
        (body(input="x" * 16_385), "input"),
        (body(dimensions=256), "dimensions"),
        (body(input_type="query"), "input_type"),
        (body(truncate_prompt_tokens=10), "truncate_prompt_tokens"),
        (body(dimensions="384"), "dimensions"),
        (body(encoding_format="hex"), "encoding_format"),
        (body(encoding_format=["float"]), "encoding_format"),
        (body(encoding_format={"a": 1}), "encoding_format"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_is_named(data: bytes, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        embeddings.parse(data)
    assert caught.value.details["param"] == param


async def test_arrays_of_tokens_are_the_texts_that_they_were_made_of() -> None:
    """As tiktoken makes them of these texts in cl100k_base."""
    hello, world = [15339, 1917], [14957, 6704, 108, 112, 48634]
    assert await text_of([hello, "a", world]) == ["hello world", "a", "world 水力"]


@pytest.mark.parametrize("tokens", [[100_256], [100_257], [1 << 40], [-1], [6704]], ids=repr)
async def test_tokens_of_no_text_are_refused_by_their_index(tokens: list[int]) -> None:
    with pytest.raises(BadRequest) as caught:
        await text_of(["a", tokens])
    assert caught.value.details["param"] == "input[1]"


def test_another_model_is_unknown() -> None:
    with pytest.raises(ModelNotFound):
        embeddings.parse(body(model="text-embedding-3-small"))


@pytest.mark.parametrize("as_base64", [False, True])
def test_the_answer(as_base64: bool) -> None:
    vectors = np.random.default_rng(7).standard_normal((3, 384)).astype(np.float32)
    answer = embeddings.response(vectors, 12, as_base64)
    read = CreateEmbeddingResponse.model_validate(plain(answer))
    assert [one.index for one in read.data] == [0, 1, 2]
    assert (read.model, read.usage.prompt_tokens, read.usage.total_tokens) == (embeddings.MODEL, 12, 12)
    assert np.array_equal(np.array([one.embedding for one in read.data], np.float32), vectors)


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer as it goes out, read as OpenAI's client does: base64 is little-endian float32."""
    read: dict[str, Any] = orjson.loads(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY))
    for one in read["data"]:
        if isinstance(one["embedding"], str):
            one["embedding"] = np.frombuffer(base64.b64decode(one["embedding"]), "<f4").tolist()
    return read


@pytest.mark.parametrize("given", ["x" * 16_385, ["a", "x" * 16_385], [7] * 8193], ids=["text", "listed", "tokens"])
def test_a_text_that_no_model_reads_is_too_long_by_openais_word(given: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        embeddings.parse(body(input=given))
    told = json.loads(error_body(caught.value))["error"]
    assert told["code"] == "context_length_exceeded"
    assert told["param"] == ("input[1]" if isinstance(given, list) and given[0] == "a" else "input")
