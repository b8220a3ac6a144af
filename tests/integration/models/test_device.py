"""A real Triton with the configuration that is written for a GPU."""

import asyncio
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import grpc
import numpy as np
import numpy.typing as npt
import pytest
import torch

from services.models.layout import clear_shared_memory, shared_memory_prefix
from services.models.settings import ModelsSettings
from services.models.triton import Listen, TritonCommand, models, prepare
from services.runtime.triton import TritonClient
from tests.integration.models.conftest import free_ports, start, stop

SETTINGS = ModelsSettings(device="cuda", reranker="late-interaction", passage_instances=1)
SECONDS = 120


def prepared(folder: Path) -> tuple[TritonCommand, str]:
    """How to start it, and where it will be."""
    grpc_port, metrics_port = free_ports(2)
    return prepare(folder, Listen(grpc_port, metrics_port), SETTINGS, os.environ), f"127.0.0.1:{grpc_port}"


async def embedded(target: str, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    async with grpc.aio.insecure_channel(target) as channel:
        return (await TritonClient(channel).embed(texts, timeout=SECONDS)).vectors


def test_triton_leaves_it_to_the_models_where_they_compute(tmp_path: Path) -> None:
    """All of what is written for a GPU but its name, in whose place the processor's is put."""
    command, target = prepared(tmp_path)
    for config in (tmp_path / "repository").glob("*/config.pbtxt"):
        config.write_text(config.read_text().replace('"cuda"', '"cpu"'))
    try:
        process = start(command, tmp_path / "triton.log", models(SETTINGS), target)
        try:
            vectors = asyncio.run(embedded(target, ["What is this?", "And that?"]))
        finally:
            stop(process)
    finally:
        clear_shared_memory(shared_memory_prefix(tmp_path))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_triton_that_is_started_without_a_gpu_ends_and_its_log_says_why(tmp_path: Path) -> None:
    command, _ = prepared(tmp_path)
    log = tmp_path / "triton.log"
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command.argv, env=command.env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            assert process.wait(SECONDS) != 0
        finally:
            stop(process)
    finally:
        clear_shared_memory(shared_memory_prefix(tmp_path))
    assert "HEADWORKS_MODELS_DEVICE is cuda, but " in log.read_text()
