"""The models by name, and how they are opened from the catalogue's entries."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from services.llm.catalogue import file
from services.llm.catalogue.entry import CatalogueEntry, EngineKind
from services.llm.catalogue.file import CatalogueFile, Secret, key_of
from services.llm.catalogue.route import Balance, RouteSpec, TargetSpec
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
MakeGenerators = Callable[[CatalogueEntry], Mapping[str, Generator]]
"""One for each place where the model is served, by its address."""


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
        others: Mapping[EngineKind, MakeGenerators] | None = None,
        embedder: TextEmbedder | None = None,
    ) -> None:
        self._client = client
        self._secret = secret
        self._others = others or {}
        self._embedder = embedder
        self._generators: dict[str, Generator] = {}
        self._bare: dict[str, BareHandle] = {}
        self._targets: dict[str, Target] = {}
        self._replicas: dict[str, Sequence[CatalogueEntry]] = {}

    @property
    def targets(self) -> Mapping[str, Target]:
        """What is known of the models that were made, by their names."""
        return self._targets

    def handle(self, entry: CatalogueEntry) -> ModelHandle:
        """Raises BadCatalogue."""
        make = self._others.get(entry.engine)
        engines = make(entry) if make is not None else {"": self._upstream(entry)}
        if len(engines) > 1:
            return self._replicated(entry, engines)
        metrics = ModelMetrics(entry.name)
        (engine,) = engines.values()
        generator = self._generators[entry.name] = BoundedGenerator(entry, engine, metrics)
        if entry.engine is EngineKind.EXTRACTIVE:
            return ModelHandle(entry, generator)
        route = own_route(self._target(entry))
        route.on_retry = metrics.retries.inc
        return ModelHandle(entry, RoutedGenerator(route, {entry.name: generator}))

    def route(self, spec: RouteSpec, entries: Mapping[str, CatalogueEntry]) -> ModelHandle:
        """Over the models of these `entries`, of which `handle` has made each. Raises BadCatalogue."""
        return self._over(*self._route(spec, entries))

    def _over(self, route: Route, targets: Mapping[str, CatalogueEntry]) -> ModelHandle:
        generators = {name: self._generators[name] for name in targets}
        return ModelHandle(route.entry, RoutedGenerator(route, generators), targets, route.health)

    def _replicated(self, entry: CatalogueEntry, engines: Mapping[str, Generator]) -> ModelHandle:
        """Of a model that is served at several places: a route over them, by what each was sent of a prompt. Each is a
        target of its own, of every route that leads to the model."""
        replicas = [replace(entry, name=f"{entry.name}@{n}", base_url=place) for n, place in enumerate(engines)]
        for replica, engine in zip(replicas, engines.values(), strict=True):
            self._generators[replica.name] = BoundedGenerator(replica, engine, ModelMetrics(replica.name))
        self._replicas[entry.name] = replicas
        spec = RouteSpec(
            entry.name, (TargetSpec(entry.name),), retry_share=1, first_token_seconds=entry.first_byte_seconds,
            balance=Balance.PREFIX,
        )  # fmt: skip
        return self._over(*self._route(spec, {entry.name: entry}, entry))

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
        self, spec: RouteSpec, entries: Mapping[str, CatalogueEntry], entry: CatalogueEntry | None = None
    ) -> tuple[Route, Mapping[str, CatalogueEntry]]:
        """`entry`: what the route is as a model, where it is not for its targets to say."""
        for target in spec.targets:
            if target.model not in entries:
                raise file.BadCatalogue(f"route {spec.name!r}: there is no model {target.model!r}")
        pairs = [
            (target, place)
            for target in spec.targets
            for place in self._replicas.get(target.model, (entries[target.model],))
        ]
        weighed = [Weighed(self._target(place), target.weight, target.order, target.model) for target, place in pairs]
        try:
            judge = judge_of(spec.name, spec.difficulty, self._embedder) if spec.difficulty else None
        except BadClassifier as error:
            raise file.BadCatalogue(f"route {spec.name!r}: difficulty: {error}") from error
        route = Route(spec, entry or spec.entry(entries), weighed, judge=judge)
        route.on_retry = RETRIES.labels(spec.name).inc
        return route, {place.name: place for _, place in pairs}

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
