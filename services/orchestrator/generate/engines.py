"""The orchestrator's models: those of the catalogue's file, and the mesh's own."""

from collections.abc import Mapping
from dataclasses import replace

from services.llm.catalogue.entry import ALL, CatalogueEntry, EngineKind
from services.llm.models import Catalogue, MakeGenerators, ModelFactory, read_file
from services.llm.settings import LlmSettings
from services.llm.triton.client import LlmClient
from services.llm.triton.engine import TritonEngine
from services.orchestrator.generate.extractive import ExtractiveGenerator
from services.orchestrator.settings import OrchestratorSettings

EXTRACTIVE = "extractive"
OLDER_SETTING = "HEADWORKS_ORCHESTRATOR_CATALOGUE_FILE"


def mesh_engines(threshold: float, llms: Mapping[str, LlmClient]) -> Mapping[EngineKind, MakeGenerators]:
    """The engines that are the mesh's own. `threshold`: that of quotes. `llms`: one for each Triton that serves the
    language model, by its address."""
    return {
        EngineKind.EXTRACTIVE: lambda entry: {"": ExtractiveGenerator(threshold)},
        EngineKind.TRITON: lambda entry: {
            place: TritonEngine(llm, entry.timeout, entry.lora) for place, llm in llms.items()
        },
    }


def open_catalogue(settings: OrchestratorSettings, models: LlmSettings, engines: ModelFactory) -> Catalogue:
    """Raises BadCatalogue."""
    file = read_file(models, settings.catalogue_file, OLDER_SETTING)
    entries = {entry.name: entry for entry in (*file.entries, *own_entries(settings))}
    entries |= {entry.name: _completed(entry, settings) for entry in file.entries}
    handles = [engines.handle(entry) for entry in entries.values()]
    handles += [engines.route(route, entries) for route in file.routes]
    return Catalogue(handles, file.default or settings.llm, file.currency)


def _completed(entry: CatalogueEntry, settings: OrchestratorSettings) -> CatalogueEntry:
    """With the context of the mesh's own model, where the file does not have it."""
    if entry.engine is not EngineKind.TRITON or entry.context_length:
        return entry
    return replace(entry, context_length=settings.llm_context_length)


def own_entries(settings: OrchestratorSettings) -> list[CatalogueEntry]:
    """The models that the mesh itself serves: its language model with its adapters, if any, and the extractive one."""
    described = "The mesh's own language model."
    names = {settings.llm: ""} if settings.llm else {}
    if settings.llm:
        names |= {name: name for part in settings.llm_adapters.split(",") if (name := part.strip())}
    llms = [
        CatalogueEntry(
            name, EngineKind.TRITON, f"{described[:-1]}, adapted." if lora else described, lora=lora,
            context_length=settings.llm_context_length, capabilities=ALL, concurrency=settings.llm_concurrency,
        )
        for name, lora in names.items()
    ]  # fmt: skip
    extractive = CatalogueEntry(
        EXTRACTIVE, EngineKind.EXTRACTIVE, "Quotes sentences of the passages found.", timeout=settings.generate_seconds,
        concurrency=settings.max_runs,
    )  # fmt: skip
    return [*llms, extractive]
