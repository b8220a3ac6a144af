"""The `rerank` model of a real Triton, and cross-encoders beside transformers, which is no unit's to load."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
import torch
from tokenizers import Tokenizer

from services.models.device import processor
from services.models.rerank.check import LATE_INTERACTION
from services.models.rerank.cross import CrossEncoder
from services.models.rerank.pairs import Pair
from services.models.settings import ModelsSettings
from services.runtime.reranker import RerankerNotServed
from services.runtime.triton import TritonClient
from tests.fakes.cross_encoder import make_cross_encoder
from tests.integration.models.conftest import Server, running

QUERY = "How do I reset the coffee machine?"
ANSWER = "Hold the red button for five seconds to reset the machine."
FAR = "The weather is lovely."
TEXTS = [ANSWER, "The coffee machine is in the kitchen.", FAR, "", "A much longer text, read alone. " * 20]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = ModelsSettings(reranker=LATE_INTERACTION, rerank_instances=2, passage_instances=1)
    with running(tmp_path_factory.mktemp("triton"), settings) as server:
        yield server


@pytest.fixture
async def reranker(server: Server) -> AsyncIterator[TritonClient]:
    async with grpc.aio.insecure_channel(server.target) as channel:
        yield TritonClient(channel)


async def test_what_answers_scores_above_what_does_not(reranker: TritonClient) -> None:
    found = await reranker.rerank(QUERY, TEXTS, timeout=20)
    answer, near, far, empty, _ = found.scores
    assert min(answer, near) > far + 0.1
    assert empty == 0
    assert found.tokens > len(QUERY.split()) * len(TEXTS)
    one = await reranker.rerank(QUERY, [ANSWER], timeout=20)
    assert one.scores == pytest.approx([answer], abs=0.01)
    assert (await reranker.rerank(QUERY, [], timeout=1)).scores == []


async def test_the_number_of_tokens_that_are_read_is_the_callers(reranker: TritonClient) -> None:
    long = "word " * 300
    whole, short = [await reranker.rerank(QUERY, [long], timeout=20, max_tokens=most) for most in (0, 12)]
    assert whole.tokens - short.tokens == 256 - 12


async def test_too_many_texts_are_refused(reranker: TritonClient) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await reranker.rerank(QUERY, ["a"] * 129, timeout=10)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_server_without_a_reranker_says_so(client: TritonClient) -> None:
    with pytest.raises(RerankerNotServed, match="HEADWORKS_MODELS_RERANKER"):
        await client.rerank(QUERY, [ANSWER], timeout=10)
    assert not await client.ready(["rerank"])


def test_a_cross_encoder_is_served_from_its_folder(tmp_path: Path) -> None:
    made = make_cross_encoder(tmp_path)
    with running(tmp_path, ModelsSettings(reranker=str(made), passage_instances=1)):
        pass  # it is ready, all models of it


@pytest.mark.parametrize("width", [{"hidden_size": 384, "num_attention_heads": 12}, {}], ids=["minilm", "other"])
def test_a_cross_encoder_agrees_with_transformers(tmp_path: Path, width: dict[str, int]) -> None:
    transformers = pytest.importorskip("transformers")
    made = make_cross_encoder(tmp_path, **width)
    model = transformers.BertForSequenceClassification.from_pretrained(made, dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(made / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    expected = []
    for text in TEXTS:
        pair = tokenizer.encode(QUERY, text)
        with torch.inference_mode():
            logits = model(torch.tensor([pair.ids]), token_type_ids=torch.tensor([pair.type_ids])).logits
        expected.append(float(torch.sigmoid(logits[0, 0])))
    found = [
        one.score for one in CrossEncoder(made, processor(torch.float32)).score([Pair(QUERY, text) for text in TEXTS])
    ]
    assert found == pytest.approx(expected, abs=2e-4)
    assert max(expected) - min(expected) > 0.01, "or it would agree by accident"
