"""Settings of the `llm` model that the other tests leave alone: each arrives at the engine, and has its effect."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest

from services.llm.triton.client import LlmClient
from services.models.settings import ModelsSettings
from tests.fakes.llm_protocol import prompt
from tests.fakes.quantised_llm import quantise
from tests.integration.models.conftest import Server, running
from tests.integration.models.metrics import Metrics
from tests.integration.models.test_llm import answer, ask

TEMPLATE = "<|im_start|>{% for message in messages %}{{ message.content }}{% endfor %}"
SPECULATIVE = '{"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 3, "prompt_lookup_min": 1}'


@pytest.fixture(scope="module")
def server(random_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("settings")
    (folder / "template.jinja").write_text(TEMPLATE)
    settings = ModelsSettings(
        llm=str(quantise(random_llm, folder / "model")), llm_quantization="compressed-tensors", llm_dtype="bfloat16",
        llm_max_model_len=1024, llm_max_sequences=3, llm_max_batched_tokens=160, llm_kv_cache_gib=0.25, llm_seed=7,
        llm_prefix_caching=False, llm_speculative=SPECULATIVE, llm_structured_backend="guidance", llm_tool_parser="",
        llm_chat_template=str(folder / "template.jinja"), llm_enforce_eager=True, passage_instances=1,
        llm_engine_args='{"block_size": 32}',
    )  # fmt: skip
    with running(folder, settings) as server:
        yield server


@pytest.fixture
async def llm(server: Server) -> AsyncIterator[LlmClient]:
    async with grpc.aio.insecure_channel(server.target) as channel:
        client = LlmClient(channel)
        yield client
        await client.aclose()


@pytest.mark.parametrize(
    "resolved",
    [
        "quantization=compressed-tensors", "dtype=torch.bfloat16", "max_seq_len=1024", "seed=7", "enforce_eager=True",
        "enable_prefix_caching=False", "SpeculativeConfig(method='ngram'", "num_spec_tokens=3", "backend='guidance'",
        "max_num_batched_tokens=160",
    ],
)  # fmt: skip
def test_the_engine_says_so_itself(server: Server, resolved: str) -> None:
    assert resolved in server.log.read_text()


def test_further_arguments_of_the_engine(server: Server) -> None:
    metrics = Metrics(server.llm_metrics)
    assert metrics.value("vllm:cache_config_info", block_size="32", enable_prefix_caching="False") == 1


async def test_speculation_drafts_tokens_that_are_accepted(server: Server, llm: LlmClient) -> None:
    metrics = Metrics(server.llm_metrics)
    text, (end,) = await answer(llm, ask("again and again and again", max_tokens=200))
    assert text
    assert end["usage"]["completion"] == 200
    drafted, accepted = (metrics.value(f"vllm:spec_decode_num_{what}_tokens_total") for what in ("draft", "accepted"))
    assert drafted >= accepted > 0


async def test_the_template_is_the_one_given(llm: LlmClient) -> None:
    assert await llm.count(prompt(ask("Hello")), timeout=10) == len("Hello") + 1


async def test_a_prompt_longer_than_a_step(server: Server, llm: LlmClient) -> None:
    _, (end,) = await answer(llm, ask("x" * 900, max_tokens=4), timeout=60)
    assert end["usage"]["prompt"] == 901, "a prompt longer than a step is computed in several"
    assert end["usage"]["cached"] == 0
