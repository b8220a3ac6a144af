"""The models by name, and how they are opened from the catalogue's entries."""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from services.llm.catalogue import file
from services.llm.catalogue.entry import CatalogueEntry, EngineKind
from services.llm.catalogue.file import CatalogueFile, Secret, key_of
from services.llm.catalogue.route import RouteSpec
from services.llm.client import HttpClient
from services.llm.concurrency import ConcurrencyLimit
from services.llm.difficulty.classifier import BadClassifier
from services.llm.difficulty.judge import TextEmbedder, judge_of
from services.llm.endpoint import endpoint_of
from services.llm.generation import Generator
from services.llm.handle import BareHandle, BoundedGenerator, ModelHandle
from services.llm.metrics import RETRIES, ModelMetrics
from services.llm.openai.engine import OpenAiEngine
from services.llm.routing.bare import RoutedBare
from services.llm.routing.choice import Weighed
from services.llm.routing.generator import RoutedGenerator
from services.llm.routing.route import Route, own_route
from services.llm.routing.shared import SharedBreakers
from services.llm.routing.target import Target
from services.llm.settings import LlmSettings, proxy_of
from services.runtime.errors import ModelNotFound

log = logging.getLogger(__name__)

DEFAULT = "default"
MakeGenerator = Callable[[CatalogueEntry], Generator]


class Catalogue:
    """The models by name. `default` is the one that the name "default" and the empty name stand for, if any."""

    def __init__(self, handles: Iterable[ModelHandle], default: str = "", currency: str = "USD") -> None:
        self._handles: Mapping[str, ModelHandle] = {handle.entry.name: handle for handle in handles}
        self.currency = currency
        self.default = default
        if default and default not in self._handles:
            raise ValueError(f"the default model {default!r} is not in the catalogue")

    @property
    def entries(self) -> tuple[CatalogueEntry, ...]:
        """All models, in the order of the configuration."""
        return tuple(handle.entry for handle in self._handles.values())

    @property
    def handles(self) -> Iterable[ModelHandle]:
        """The same, with what is behind them."""
        return self._handles.values()

    def find(self, name: str) -> ModelHandle:
        """Raises ModelNotFound."""
        wanted = self.default if name in ("", DEFAULT) and name not in self._handles else name
        handle = self._handles.get(wanted)
        if handle is None:
            raise ModelNotFound(name or DEFAULT)
        return handle


class ModelFactory:
    """Makes the handles of entries, and of routes over those that were made before. `others` make the generators of
    engines that are not upstreams; `embedder` embeds questions for routes that judge them."""

    def __init__(
        self,
        client: HttpClient,
        secret: Secret,
        others: Mapping[EngineKind, MakeGenerator] | None = None,
        embedder: TextEmbedder | None = None,
    ) -> None:
        self._client = client
        self._secret = secret
        self._others = others or {}
        self._embedder = embedder
        self._generators: dict[str, Generator] = {}
        self._bare: dict[str, BareHandle] = {}
        self._targets: dict[str, Target] = {}

    @property
    def targets(self) -> Mapping[str, Target]:
        """What is known of the models that were made, by their names."""
        return self._targets

    def handle(self, entry: CatalogueEntry) -> ModelHandle:
        """Raises BadCatalogue."""
        metrics = ModelMetrics(entry.name)
        make = self._others.get(entry.engine)
        engine = make(entry) if make is not None else self._upstream(entry)
        generator = self._generators[entry.name] = BoundedGenerator(entry, engine, metrics)
        if entry.engine is EngineKind.EXTRACTIVE:
            return ModelHandle(entry, generator)
        route = own_route(self._target(entry))
        route.on_retry = metrics.retries.inc
        return ModelHandle(entry, RoutedGenerator(route, {entry.name: generator}))

    def route(self, spec: RouteSpec, entries: Mapping[str, CatalogueEntry]) -> ModelHandle:
        """Over the models of these `entries`, of which `handle` has made each. Raises BadCatalogue."""
        route, targets = self._route(spec, entries)
        return ModelHandle(
            route.entry,
            RoutedGenerator(route, {name: self._generators[name] for name in targets}),
            targets,
            route.health,
        )

    def bare(self, entry: CatalogueEntry) -> BareHandle:
        """Raises BadCatalogue."""
        if entry.name not in self._bare:
            self._bare[entry.name] = BareHandle(entry, self._upstream(entry), _bare_limit(entry))
        return self._bare[entry.name]

    def bare_route(self, spec: RouteSpec, entries: Mapping[str, CatalogueEntry]) -> RoutedBare:
        """Raises BadCatalogue."""
        route, targets = self._route(spec, entries)
        return RoutedBare(route, {name: self.bare(entry) for name, entry in targets.items()})

    def _route(
        self, spec: RouteSpec, entries: Mapping[str, CatalogueEntry]
    ) -> tuple[Route, Mapping[str, CatalogueEntry]]:
        for target in spec.targets:
            if target.model not in entries:
                raise file.BadCatalogue(f"route {spec.name!r}: there is no model {target.model!r}")
        targets = {target.model: entries[target.model] for target in spec.targets}
        weighed = [Weighed(self._target(targets[one.model]), one.weight, one.order) for one in spec.targets]
        try:
            judge = judge_of(spec.name, spec.difficulty, self._embedder) if spec.difficulty else None
        except BadClassifier as error:
            raise file.BadCatalogue(f"route {spec.name!r}: difficulty: {error}") from error
        route = Route(spec, spec.entry(targets), weighed, judge=judge)
        route.on_retry = RETRIES.labels(spec.name).inc
        return route, targets

    def _target(self, entry: CatalogueEntry) -> Target:
        """One for all routes: what one learns of a model, the others know."""
        if entry.name not in self._targets:
            self._targets[entry.name] = Target(entry)
        return self._targets[entry.name]

    def _upstream(self, entry: CatalogueEntry) -> OpenAiEngine:
        if not entry.upstream:
            raise ValueError(f"nothing here runs the engine {entry.engine} of the model {entry.name!r}")
        endpoint = endpoint_of(entry, key_of(entry, self._secret), proxy_of(entry.base_url))
        return OpenAiEngine(self._client, endpoint)


def _bare_limit(entry: CatalogueEntry) -> ConcurrencyLimit | None:
    if not entry.bare_concurrency:
        return None
    limit = ConcurrencyLimit(entry.name, entry.bare_concurrency, entry.queue, entry.queue_seconds)
    metrics = ModelMetrics(entry.name)
    metrics.running.set_function(lambda: limit.running)
    metrics.waiting.set_function(lambda: limit.waiting)
    return limit


async def share_breakers(redis_url: str, models: ModelFactory, resources: AsyncExitStack) -> None:
    """What processes learn of the models that fail they tell one another, where there is a Redis. Closed with
    `resources`."""
    if redis_url:
        shared = SharedBreakers(redis_url, models.targets.values())
        await shared.open()
        resources.push_async_callback(shared.aclose)


def read_file(settings: LlmSettings, older: Path | None, older_name: str) -> CatalogueFile:
    """The catalogue's file, or the one that an older setting of this name gives. Raises BadCatalogue."""
    if settings.models_file is not None and older is not None:
        raise file.BadCatalogue(f"HEADWORKS_LLM_MODELS_FILE and {older_name} both name a file: take the latter away")
    path = settings.models_file or older
    if path is None:
        return CatalogueFile()
    found = file.read(path)
    if older is not None:
        log.warning("%s is an older name, and will go: set HEADWORKS_LLM_MODELS_FILE", older_name)
    if found.rewritten:
        log.warning("%s is of an older form, which will go; in today's form it is\n%s", path, found.rewritten)
    return found
