"""The models of a mesh: checked before anything starts, and what the services are configured with of them."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from infra.local.options import LLM, BadOptions, Options
from services.models import smollm2, triton
from services.models.llm.check import CannotServe, check_llm
from services.models.rerank.check import CannotRerank, check_reranker
from services.models.settings import CPU, ModelsSettings, adapters, further_embedders
from services.models.weights import WeightsNotFound
from services.runtime.settings import prefix

if TYPE_CHECKING:
    from infra.local.supervisor import Limits

REPLICA_SECONDS = 30.0
"""How much longer a start may take for each further Triton: they load at the same time, on the same cores."""
LLM_VARIABLE = "HEADWORKS_MODELS_LLM"
CATALOGUES = (("llm", "models_file"), ("orchestrator", "catalogue_file"), ("gateway", "upstreams_file"))


def check_catalogue(options: Options) -> None:
    """Raises BadOptions, by file, line and field, where the catalogue's file is wrong."""
    paths = (options.given(service, name) for service, name in CATALOGUES)
    files = [Path(path) for path in paths if path]
    if not files:
        return
    # Here, for most meshes have none and need not wait for what reads it.
    from services.llm.catalogue.file import BadCatalogue, read

    try:
        for file in files:
            read(file)
    except BadCatalogue as error:
        raise BadOptions(str(error)) from error


def check_tools(options: Options) -> None:
    """Raises BadOptions, by file, line and field, where the file of what tools may reach is wrong."""
    path = options.given("orchestrator", "tools_file")
    if not path:
        return
    from services.orchestrator.tools.config import BadToolSettings, load

    try:
        load(Path(path), options.env)
    except BadToolSettings as error:
        raise BadOptions(str(error)) from error


def models_settings(options: Options) -> ModelsSettings:
    """From the environment and the configuration file alike."""
    values = {name: options.given("models", name) for name in ModelsSettings.model_fields}
    return ModelsSettings.model_validate({name: value for name, value in values.items() if value is not None})


def with_packaged(options: Options, notice: Callable[[str], None]) -> Options:
    """The options with the folder of the language model that comes as a wheel, where it is asked for by its name, and
    with settings that suit it. A folder of that name goes before it. Raises BadOptions."""
    if models_settings(options).llm != smollm2.NAME or Path(smollm2.NAME).is_dir():
        return options
    try:
        folder = smollm2.smollm2(notice)
    except (smollm2.ModelNotInstalled, smollm2.NotConverted) as error:
        raise BadOptions(str(error)) from error
    own = {
        prefix("models") + name.upper(): value
        for name, value in smollm2.SETTINGS.items()
        if options.given("models", name) is None
    }
    return dataclasses.replace(options, env={**options.env, **own, LLM_VARIABLE: str(folder)})


def with_llm(options: Options) -> Options:
    """The options with the language model's whole path in them. Raises BadOptions where it cannot be served."""
    settings = models_settings(options)
    if not settings.llm:
        if options.count(LLM) > 1:
            raise BadOptions(f"{LLM}={options.count(LLM)} are replicas of a language model: name one with --llm")
        return options
    try:
        return dataclasses.replace(options, env={**options.env, LLM_VARIABLE: check_llm(settings)})
    except CannotServe as error:
        raise BadOptions(str(error)) from error


def check_embedders(options: Options) -> None:
    """Raises BadOptions where an embedder that is to be served is not installed."""
    specs = further_embedders(models_settings(options))
    if not specs:
        return
    # Here, for most meshes have none and need not wait for what loads them.
    from services.models.embedders import FILES

    try:
        for spec in specs:
            FILES[spec.name].find()
    except WeightsNotFound as error:
        raise BadOptions(str(error)) from error


def check_rerank(options: Options) -> None:
    """Raises BadOptions where the reranker cannot be served."""
    reranker = models_settings(options).reranker
    if not reranker:
        return
    try:
        check_reranker(reranker)
    except CannotRerank as error:
        raise BadOptions(str(error)) from error


def check_device(options: Options) -> None:
    """Raises BadOptions where the models are to compute on a GPU that is not there."""
    name = models_settings(options).device
    if name == CPU:
        return
    # Here, for it loads torch, and most meshes have no GPU.
    from services.models.device import NoGpu, require_gpu

    try:
        require_gpu(name)
    except NoGpu as error:
        raise BadOptions(str(error)) from error


def start_limits(options: Options, limits: "Limits") -> "Limits":
    """The limits with how long a start may take, as the models' settings have it: all else is quick."""
    return dataclasses.replace(
        limits, ready=_ready_seconds(options), ready_setting=triton.start_setting(models_settings(options))
    )


def start_seconds(options: Options) -> float:
    """How long a process that is started again may take to its first answer: longer than a whole mesh does, for others
    are at work beside it, and a database may have to be brought up to date."""
    return 2 * _ready_seconds(options)


def _ready_seconds(options: Options) -> float:
    settings, replicas = models_settings(options), max(1, llm_replicas(options))
    further = max(options.count("triton"), replicas) - 1
    llms = (replicas - 1) * settings.llm_start_seconds  # they compile on the same cores
    return triton.start_seconds(settings) + further * REPLICA_SECONDS + llms


def llm_replicas(options: Options) -> int:
    """Tritons that serve the language model."""
    return options.count(LLM) if models_settings(options).llm else 0


def llm_share(settings: ModelsSettings, replicas: int) -> dict[str, float]:
    """What one of several replicas of the language model has of the machine, as settings. Its KV cache is its own:
    one that holds no whole context does not start."""
    if replicas < 2:
        return {}
    return {
        "llm_threads": max(1, triton.llm_threads(settings) // replicas),
        "llm_gpu_memory_utilization": settings.llm_gpu_memory_utilization / replicas,
    }


def llm_settings(options: Options) -> dict[str, str]:
    """The orchestrator's settings of the language model: its name, those of its adapters, its context length, how much
    it does at once. Empty where the mesh has none."""
    settings = models_settings(options)
    if not settings.llm:
        return {}
    values = {
        "LLM": Path(settings.llm).name,
        "LLM_ADAPTERS": ",".join(adapters(settings.llm_lora)),
        "LLM_CONCURRENCY": str(settings.llm_max_sequences or ""),
        "LLM_CONTEXT_LENGTH": str(settings.llm_max_model_len or _context_length(Path(settings.llm)) or ""),
    }
    return {name: value for name, value in values.items() if value}


def _context_length(folder: Path) -> int:
    """As the model's own configuration has it; 0 where there is none to read, as with a name on the hub."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        return int(config.get("text_config", config)["max_position_embeddings"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0
