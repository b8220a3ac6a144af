"""Lays out what tritonserver reads at its start: the Python backend and the rendered model repository."""

import json
import re
import shutil
import sys
import zlib
from importlib.util import find_spec
from pathlib import Path

from services.models.rerank.check import check_reranker
from services.models.settings import CPU, ModelsSettings, further_embedders
from services.runtime.embedders import MINILM
from services.runtime.reranker import RERANKER

REPOSITORY = Path(__file__).parent / "repository"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory is, not a temporary file
STUB = "triton_python_backend_stub"
LLM = "llm"


class TritonNotFound(Exception):
    """The wheel `nvidia-pytriton` is missing, or has no stub for this Python."""


class ConfigMismatch(Exception):
    """A checked-in config.pbtxt lacks a field that a setting is to change."""


def site_packages() -> Path:
    """The folder that `nvidia-pytriton` is installed in. Raises TritonNotFound."""
    spec = find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise TritonNotFound("the package pytriton (wheel nvidia-pytriton) is not installed")
    return Path(spec.origin).parents[1]


def python_version() -> str:
    """The running Python's version, as 3.11."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def lay_out_backend(target: Path) -> Path:
    """Writes TARGET/python with the stub of the running Python; returns TARGET. Raises TritonNotFound."""
    triton = site_packages() / "pytriton" / "tritonserver"
    version = python_version()
    stub = triton / "python_backend_stubs" / version / STUB
    if not stub.is_file():
        raise TritonNotFound(f"nvidia-pytriton carries no stub for Python {version}")
    _replace(triton / "backends" / "python", target / "python")
    shutil.copy2(stub, target / "python" / STUB)
    (target / "python" / STUB).chmod(0o755)
    return target


def lay_out_repository(target: Path, settings: ModelsSettings, llm_alone: bool = False) -> Path:
    """Writes the checked-in repository to TARGET with the settings in its config.pbtxt files; returns TARGET."""
    _replace(REPOSITORY, target)
    if llm_alone:
        for folder in target.iterdir():
            if folder.name != LLM:
                shutil.rmtree(folder)
        config = target / LLM / "config.pbtxt"
        config.write_text(render_llm(config.read_text(), settings))
        return target
    for model, served in ((LLM, settings.llm), (RERANKER, settings.reranker)):
        if not served:
            shutil.rmtree(target / model)
    for model, render in RENDER.items():
        if not (target / model).is_dir():
            continue
        config = target / model / "config.pbtxt"
        config.write_text(render(config.read_text(), settings))
    for spec in further_embedders(settings):
        for model, own in ((MINILM.queries, spec.queries), (MINILM.passages, spec.passages)):
            _lay_out_embedder(target / model, target / own, spec.name)
    return target


def _lay_out_embedder(model: Path, own: Path, embedder: str) -> None:
    """A model of another embedder, made of the one that is there."""
    shutil.copytree(model, own)
    config = own / "config.pbtxt"
    named = _substitute(config.read_text(), r'(?m)^(name: ")[^"]*', own.name, "name")
    config.write_text(_set_parameter(named, "embedder", embedder))


def render_embed(config: str, settings: ModelsSettings) -> str:
    """The `embed` model's configuration under these settings. Raises ConfigMismatch."""
    config = _set_field(config, "count", settings.embed_instances)
    config = _set_field(config, "max_queue_delay_microseconds", settings.embed_queue_delay)
    return _set_parameter(_set_device(config, settings), "threads", str(settings.threads))


def render_embed_passages(config: str, settings: ModelsSettings) -> str:
    """The `embed_passages` model's configuration under these settings. Raises ConfigMismatch."""
    config = _set_field(config, "count", settings.passage_instances)
    return _set_parameter(_set_device(config, settings), "threads", str(settings.threads))


def render_llm(config: str, settings: ModelsSettings) -> str:
    """The `llm` model's configuration: all settings as one JSON parameter. Raises ConfigMismatch."""
    # A string of the text format is escaped as JSON escapes one, where both are ASCII.
    escaped = json.dumps(json.dumps(settings.model_dump(mode="json")))
    return _set_parameter(config, "settings", escaped[1:-1])


def render_rerank(config: str, settings: ModelsSettings) -> str:
    """The `rerank` model's configuration under these settings. Raises ConfigMismatch, CannotRerank."""
    config = _set_device(_set_field(config, "count", settings.rerank_instances), settings)
    config = _set_parameter(config, "threads", str(settings.rerank_threads))
    # Triton's text format wants quotes and backslashes escaped, as JSON does.
    return _set_parameter(config, "reranker", json.dumps(check_reranker(settings.reranker))[1:-1])


RENDER = {
    "embed": render_embed,
    "embed_passages": render_embed_passages,
    RERANKER: render_rerank,
    LLM: render_llm,
}


def shared_memory_prefix(data: Path) -> str:
    """How the names of this data directory's shared memory begin."""
    return f"headworks_{zlib.crc32(str(data.resolve()).encode()):08x}_"


def clear_shared_memory(prefix: str) -> None:
    """Removes what a killed tritonserver left behind: a mebibyte per model instance."""
    for region in SHARED_MEMORY.glob(f"{prefix}*"):
        region.unlink(missing_ok=True)


def _set_device(config: str, settings: ModelsSettings) -> str:
    """The device as a parameter. To Triton an instance on a GPU is one that sees to it by itself: so it need not know
    of a GPU, and does not multiply instances by them."""
    if settings.device != CPU:
        config = _substitute(config, r"(\bkind: )KIND_CPU\b", "KIND_MODEL", "kind")
    return _set_parameter(config, "device", settings.device)


def _set_field(config: str, name: str, value: int) -> str:
    return _substitute(config, rf"(\b{name}: )\d+", str(value), name)


def _set_parameter(config: str, name: str, value: str) -> str:
    return _substitute(config, rf'(key: "{name}" value: {{ string_value: ")[^"]*', value, name)


def _substitute(config: str, pattern: str, value: str, name: str) -> str:
    """Puts the value behind what the pattern's first group matches, in place of the rest of the match."""
    changed, count = re.subn(pattern, lambda match: match[1] + value, config)
    if count != 1:
        raise ConfigMismatch(f"{name} occurs {count} times, not once")
    return changed


def _replace(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
