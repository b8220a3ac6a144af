"""From the configuration to the catalogue: entries, and the generator of each."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from services.orchestrator.generate import catalogue_file
from services.orchestrator.generate.bounded import BoundedGenerator
from services.orchestrator.generate.catalogue import Catalogue, Served
from services.orchestrator.generate.catalogue_file import BadCatalogue, CatalogueFile
from services.orchestrator.generate.entry import ALL, Engine, Entry
from services.orchestrator.generate.extractive import ExtractiveGenerator
from services.orchestrator.generate.generator import Generator
from services.orchestrator.generate.metrics import ModelMetrics
from services.orchestrator.generate.openai_upstream import OpenAiUpstream
from services.orchestrator.generate.triton_llm import TritonLlmGenerator
from services.orchestrator.settings import OrchestratorSettings
from services.runtime.triton import LlmClient

EXTRACTIVE = "extractive"


class Engines:
    """Makes generators; the pools of those that have one are closed with `resources`. `threshold`: that of quotes."""

    def __init__(
        self, threshold: float, llm: LlmClient, resources: AsyncExitStack, secret: Callable[[str], str | None]
    ) -> None:
        self._threshold = threshold
        self._llm = llm
        self._resources = resources
        self._secret = secret

    def served(self, entry: Entry) -> Served:
        """Raises BadCatalogue."""
        metrics = ModelMetrics(entry.name)
        return Served(entry, BoundedGenerator(entry, self._generator(entry, metrics), metrics))

    def _generator(self, entry: Entry, metrics: ModelMetrics) -> Generator:
        match entry.engine:
            case Engine.EXTRACTIVE:
                return ExtractiveGenerator(self._threshold)
            case Engine.TRITON:
                return TritonLlmGenerator(self._llm, entry.timeout, metrics, entry.lora)
            case Engine.OPENAI:
                upstream = OpenAiUpstream(entry, self._key(entry), metrics)
                self._resources.push_async_callback(upstream.aclose)
                return upstream

    def _key(self, entry: Entry) -> str:
        """The key to the entry's upstream; empty where it needs none."""
        if not entry.api_key_file and not entry.api_key_env:
            return ""
        key = self._read(entry)
        if not key or not key.isascii() or not key.isprintable():
            raise BadCatalogue(f"model {entry.name!r}: what api_key_env or api_key_file names holds no key")
        return key

    def _read(self, entry: Entry) -> str:
        if entry.api_key_file:
            try:
                return Path(entry.api_key_file).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise BadCatalogue(f"model {entry.name!r}: api_key_file cannot be read: {error}") from error
        key = self._secret(entry.api_key_env)
        if key is None:
            raise BadCatalogue(f"model {entry.name!r}: api_key_env names {entry.api_key_env}, which is not set")
        return key.strip()


def open_catalogue(settings: OrchestratorSettings, engines: Engines) -> Catalogue:
    """Raises BadCatalogue."""
    file = catalogue_file.read(settings.catalogue_file) if settings.catalogue_file else CatalogueFile((), "", "USD")
    entries = {entry.name: entry for entry in (*file.entries, *own_entries(settings))}
    entries |= {entry.name: _completed(entry, settings) for entry in file.entries}
    return Catalogue(map(engines.served, entries.values()), file.default or settings.llm, file.currency)


def _completed(entry: Entry, settings: OrchestratorSettings) -> Entry:
    """With the context of the mesh's own model, where the file does not say it."""
    if entry.engine is not Engine.TRITON or entry.context_length:
        return entry
    return replace(entry, context_length=settings.llm_context_length)


def own_entries(settings: OrchestratorSettings) -> list[Entry]:
    """The models that the mesh itself serves: its language model with its adapters, if any, and the extractive one."""
    described = "The mesh's own language model."
    names = {settings.llm: ""} if settings.llm else {}
    if settings.llm:
        names |= {name: name for part in settings.llm_adapters.split(",") if (name := part.strip())}
    llms = [
        Entry(
            name, Engine.TRITON, f"{described[:-1]}, adapted." if lora else described, lora=lora,
            context_length=settings.llm_context_length, capabilities=ALL,
        )
        for name, lora in names.items()
    ]  # fmt: skip
    extractive = Entry(
        EXTRACTIVE, Engine.EXTRACTIVE, "Quotes sentences of the passages found.", timeout=settings.generate_seconds,
        concurrency=settings.max_runs,
    )  # fmt: skip
    return [*llms, extractive]
