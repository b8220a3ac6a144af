"""kill -9 of the processes behind the `llm` model: none of the others goes on without it."""

import time
from pathlib import Path

import psutil

from services.models.layout import SHARED_MEMORY, clear_shared_memory, shared_memory_prefix
from services.models.settings import ModelsSettings
from tests.integration.models.conftest import Server, started

GONE_SECONDS = 5.0
VICTIMS = {"Triton": "tritonserver", "stub": "repository/llm/", "engine": "VLLM::EngineCore"}


def test_nothing_outlives_a_process_that_is_killed(random_llm: Path, tmp_path: Path) -> None:
    settings = ModelsSettings(
        llm=str(random_llm), llm_max_sequences=2, llm_kv_cache_gib=0.25, llm_enforce_eager=True, passage_instances=1
    )
    left: set[Path] = set()
    try:
        for victim in VICTIMS.values():
            with started(tmp_path, settings) as server:
                assert not left & regions(tmp_path), "a start removes what the last one could not give back"
                family = processes(server)
                one(family, victim).kill()
                assert_gone(family, victim)
            left = regions(tmp_path)
    finally:
        clear_shared_memory(shared_memory_prefix(tmp_path))


def regions(folder: Path) -> set[Path]:
    return set(SHARED_MEMORY.glob(f"{shared_memory_prefix(folder)}*"))


def processes(server: Server) -> list[psutil.Process]:
    triton = psutil.Process(server.process.pid)
    return [triton, *triton.children(recursive=True)]


def one(family: list[psutil.Process], words: str) -> psutil.Process:
    (found,) = [process for process in family if words in " ".join(process.cmdline()[:2])]
    return found


def assert_gone(family: list[psutil.Process], victim: str) -> None:
    """A zombie is gone: it waits for a parent that may be any program."""
    until = time.monotonic() + GONE_SECONDS
    while alive := [process for process in family if runs(process)]:
        assert time.monotonic() < until, f"{victim} was killed, and there still are {alive}"
        time.sleep(0.05)


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
