"""Where networks compute. There is no GPU here: what would run on one runs on the processor, or on tensors that only
know where they are."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from services.models import bert
from services.models.bert import Bert, Weights
from services.models.device import GPU_TOKENS, NoGpu, device, fastest_on, gpu, processor, require_gpu
from services.models.embedders import load
from services.models.encoder import Encoder, Vectors
from services.models.rerank.check import LATE_INTERACTION
from services.models.rerank.cross import CrossEncoder
from services.models.rerank.load import load as load_reranker
from services.models.rerank.pairs import Pair
from services.models.weights import minilm_folder
from services.runtime.embedders import MINILM
from tests.fakes.cross_encoder import make_cross_encoder

CPU, META = torch.device("cpu"), torch.device("meta")
TEXTS = ["Short.", "", "What is this?", "A text of some length that is read with the others. " * 9, "word " * 900]
PAIRS = [Pair("How do I reset it?", text) for text in TEXTS]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def vectors(encoder: Encoder, texts: Sequence[str] = TEXTS) -> Vectors:
    return np.array([item.vector for item in encoder.encode(texts)])


@pytest.mark.parametrize(
    ("dtype", "least"), [(torch.float32, 0.99999), (torch.bfloat16, 0.9995), (torch.float16, 0.99999)], ids=str
)
def test_all_texts_in_one_attention_have_the_vectors_that_each_has_alone(dtype: torch.dtype, least: float) -> None:
    expected = vectors(Encoder(minilm_folder(), processor(torch.float32)))
    found = vectors(Encoder(minilm_folder(), gpu(CPU, dtype)))
    assert (found * expected).sum(axis=1).min() > least


def test_more_tokens_share_a_pass_on_a_gpu() -> None:
    passes: list[int] = []

    class Counted(Bert):
        def __call__(self, texts: Sequence[Sequence[int]], firsts: Sequence[int] | None = None) -> list[torch.Tensor]:
            passes.append(len(texts))
            return super().__call__(texts, firsts)

    long = ["word " * 900] * 9
    for where in (processor(torch.float32), gpu(CPU, torch.float32)):
        encoder = Encoder(minilm_folder(), where)
        encoder._bert = Counted(Weights(minilm_folder() / "model.safetensors", where.dtype), where.groups)
        encoder.encode(long)
    assert passes == [4, 4, 1, 9]
    assert GPU_TOKENS >= 9 * 512


def test_rerankers_score_the_same_there(tmp_path: Path) -> None:
    cross, full = make_cross_encoder(tmp_path), torch.float32
    there = [load_reranker(name, gpu(CPU, full)).score(PAIRS) for name in (LATE_INTERACTION, str(cross))]
    here = [load_reranker(name, processor(full)).score(PAIRS) for name in (LATE_INTERACTION, str(cross))]
    for found, expected in zip(there, here, strict=True):
        assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=1e-4)
        assert [one.tokens for one in found] == [one.tokens for one in expected]


class OneDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's hook is
    """Fails where an operation is given tensors of several devices."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
        assert len({each.device for each in given}) < 2, operation
        return operation(*args, **(kwargs or {}))


def test_a_pass_is_on_the_gpu_until_its_states_are_fetched() -> None:
    """On torch's device without memory, from which nothing can be fetched."""
    weights = Weights(minilm_folder() / "model.safetensors", torch.bfloat16, device=META)
    network = Bert(weights, gpu(META, torch.bfloat16).groups)
    elsewhere = OneDevice()  # type: ignore[no-untyped-call]
    with elsewhere, pytest.raises(NotImplementedError, match="Cannot copy out of meta"):
        network([[101, 7592, 102], [101, 102]])


def test_a_cross_encoders_last_layers_are_on_the_processor(tmp_path: Path) -> None:
    """With the states, so it is fetched at the start."""
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta"):
        CrossEncoder(make_cross_encoder(tmp_path), gpu(META, torch.bfloat16))


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [
        ((7, 0), torch.float32),
        ((7, 5), torch.float32),
        ((8, 0), torch.bfloat16),
        ((8, 9), torch.bfloat16),
        ((10, 0), torch.bfloat16),
    ],
)
def test_what_a_gpu_multiplies_is_computed_in(capability: tuple[int, int], dtype: torch.dtype) -> None:
    assert fastest_on(capability) is dtype


def test_the_default_is_the_processor_as_it_was() -> None:
    chosen = device("cpu")
    assert (chosen.at, chosen.dtype, chosen.tokens, chosen.groups) == (CPU, bert.fastest(), 2048, bert.groups)
    assert np.array_equal(vectors(load(MINILM.name, "passage")), vectors(load(MINILM.name, "passage", chosen)))


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A torch that is built for CUDA, and sees two GPUs of compute capability 9.0."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    return monkeypatch


def test_a_gpu_that_is_there_is_taken(cuda: pytest.MonkeyPatch) -> None:
    for name in ("cuda", "cuda:1"):
        chosen = device(name)
        assert (chosen.at, chosen.dtype, chosen.tokens) == (torch.device(name), torch.bfloat16, GPU_TOKENS)
    assert device("cuda", torch.float32).dtype is torch.float32


def test_a_torch_without_cuda_is_named(cuda: pytest.MonkeyPatch) -> None:
    cuda.setattr(torch.version, "cuda", None)
    cuda.setattr(torch, "__version__", "2.99.1+cpu")
    with pytest.raises(NoGpu, match=r"DEVICE is cuda, .*\(2\.99\.1\+cpu\) is a build without.*torch==2\.99\.1`.*=cpu$"):
        device("cuda")


def test_a_driver_that_does_not_answer_is_named(cuda: pytest.MonkeyPatch) -> None:
    def unavailable() -> bool:
        warnings.warn("The driver is too old (found version 9000).\nMore.", stacklevel=1)
        return False

    cuda.setattr(torch.cuda, "is_available", unavailable)
    with pytest.raises(NoGpu, match=re.escape("no NVIDIA GPU (The driver is too old (found version 9000).): see that")):
        require_gpu("cuda")


def test_a_gpu_of_another_number_is_refused(cuda: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoGpu, match=r"DEVICE is cuda:2, but PyTorch sees only cuda:0, cuda:1"):
        require_gpu("cuda:2")
