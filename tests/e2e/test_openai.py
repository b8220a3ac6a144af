"""The official client and curl, unmodified, against the edge."""

import base64
import json
import subprocess
from collections.abc import Iterator

import numpy as np
import openai
import pytest

from tests.e2e.conftest import COLLECTION
from tests.e2e.meshes import Mesh

QUESTION = "How many eggs can the queen lay in a day?"
EXTRA = {"metadata": {"collection": COLLECTION}}


@pytest.fixture
def client(mesh: Mesh) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{mesh.edge}/v1", api_key=mesh.key, max_retries=0, timeout=30) as client:
        yield client


def test_an_answer_quotes_its_source(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="rag", messages=[{"role": "user", "content": QUESTION}], extra_body=EXTRA
    )
    message = answer.choices[0].message
    assert "The queen can lay 2,000 eggs in a day." in (message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert message.annotations
    for annotation in message.annotations:
        cited = annotation.url_citation
        quote = (message.content or "")[cited.start_index : cited.end_index]
        assert quote == cited.model_dump()["quote"]
    assert message.annotations[0].url_citation.title == "Bees"


def test_a_stream_says_the_same(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="rag", messages=[{"role": "user", "content": QUESTION}], stream=True,
        stream_options={"include_usage": True}, extra_body=EXTRA,
    )  # fmt: skip
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "The queen can lay 2,000 eggs in a day." in text
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert len({chunk.id for chunk in chunks}) == 1


def test_what_is_not_there_is_not_answered(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="rag",
        messages=[{"role": "user", "content": "Who won the world chess championship in 1972?"}],
        extra_body=EXTRA,
    )
    assert answer.model_dump()["headworks"]["finish_reason"] == "no_answer"
    assert not answer.choices[0].message.annotations


def test_chinese_is_answered_from_chinese(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="rag", messages=[{"role": "user", "content": "明长城全长多少公里？"}], extra_body=EXTRA
    )
    assert "八千八百五十公里" in (answer.choices[0].message.content or "")


def test_embeddings_are_unit_vectors_in_both_encodings(client: openai.OpenAI) -> None:
    floats = client.embeddings.create(
        model="all-minilm-l6-v2", input=["a river", "a stream", "a tax form"], encoding_format="float"
    )
    vectors = np.array([item.embedding for item in floats.data])
    assert vectors.shape == (3, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-2)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    raw = client.embeddings.with_raw_response.create(
        model="all-minilm-l6-v2", input="a river", encoding_format="base64"
    )
    encoded = np.frombuffer(base64.b64decode(json.loads(raw.text)["data"][0]["embedding"]), np.float32)
    assert encoded @ vectors[0] > 0.999


def test_models_are_listed_and_shown(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names == ["rag", "all-minilm-l6-v2"]
    assert client.models.retrieve("rag").id == "rag"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-none")


def test_curl_gets_json_and_events(mesh: Mesh) -> None:
    body = {"model": "rag", "messages": [{"role": "user", "content": QUESTION}], **EXTRA}
    whole = _curl(mesh, body)
    assert "2,000 eggs" in json.loads(whole)["choices"][0]["message"]["content"]
    events = [line for line in _curl(mesh, {**body, "stream": True}, "-N").splitlines() if line]
    assert events[-1] == "data: [DONE]"
    assert all(line.startswith("data: ") for line in events)
    deltas = [json.loads(line[6:])["choices"][0]["delta"] for line in events[:-1]]
    assert "2,000 eggs" in "".join(delta.get("content", "") for delta in deltas)


def _curl(mesh: Mesh, body: object, *options: str) -> str:
    command = [
        "curl", "-sS", "--fail", *options, f"{mesh.edge}/v1/chat/completions",
        "-H", f"authorization: Bearer {mesh.key}", "-H", "content-type: application/json", "-d", json.dumps(body),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
