"""The form of the catalogue's file, and the entries that it stands for. Pure."""

import importlib.util
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from services.llm.catalogue.entry import ALL, UPSTREAMS, BreakerSpec, Capability, CatalogueEntry, EngineKind
from services.llm.catalogue.route import Balance, DifficultySpec, HedgeSpec, RouteSpec, TargetSpec
from services.llm.chat import Priority, Sampling
from services.llm.faults import Fault, Remedy
from services.llm.price import Price
from services.llm.sampling_form import SamplingFields

NANOS = 10**9
_PRIORITIES = {"interactive": Priority.INTERACTIVE, "batch": Priority.BATCH}
_OUR_HEADERS = {
    "authorization", "host", "content-type", "content-length", "transfer-encoding", "connection", "accept-encoding",
}  # fmt: skip
_APART = {"generator", "price", "sampling", "capabilities", "priority", "model", "breaker", "region"}
# Unless the file says otherwise; all there are of others.
_CAPABLE = {
    EngineKind.EXTRACTIVE: frozenset[Capability](),
    EngineKind.ANTHROPIC: frozenset((Capability.TOOLS,)),
    EngineKind.BEDROCK: frozenset((Capability.TOOLS,)),
    EngineKind.GEMINI: frozenset((Capability.TOOLS, Capability.JSON_SCHEMA)),
}
_CACHING = (EngineKind.OPENAI, EngineKind.AZURE, EngineKind.ANTHROPIC)
_AWS_REGION = re.compile(r"bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")
_OF_UPSTREAMS = ("base_url", "model", "api_key_env", "api_key_file", "headers", "bare", "passes", "continues")


def _usable_url(url: str) -> str:
    """A message about a URL does not repeat it: it may hold a password."""
    try:
        usable = not url or bool(urlsplit(url).hostname and urlsplit(url).port != 0)
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("not the URL of an upstream, such as https://api.example/v1")
    return url


def _sendable(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if name.lower() in _OUR_HEADERS:
            raise ValueError(f"the header {name} is not the file's to set")
        if not (name + value).isascii() or not (name + value).isprintable() or set(name) & set(" :"):
            raise ValueError(f"{name!r} cannot be sent as a header")
    return {name.lower(): value for name, value in headers.items()}


def _not_reserved(name: str) -> str:
    if name == "default":
        raise ValueError('"default" stands for the model that `default:` names')
    return name


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$"), AfterValidator(_not_reserved)]
BaseUrl = Annotated[str, Field(pattern=r"^(https?://[^\s?#/]+[^\s?#]*)?$"), AfterValidator(_usable_url)]
Variable = Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")]
Headers = Annotated[dict[str, str], AfterValidator(_sendable)]
FieldName = Annotated[str, Field(pattern=r"^(\*|[A-Za-z_][A-Za-z0-9_.:-]{0,127})$")]
Amount = Annotated[Decimal, Field(ge=0)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class PriceForm(Strict):
    input: Amount = Decimal(0)
    output: Amount = Decimal(0)
    cached_input: Amount | None = None
    cache_write: Amount | None = None

    def price(self) -> Price:
        cached, kept = (None if one is None else int(one * NANOS) for one in (self.cached_input, self.cache_write))
        return Price(int(self.input * NANOS), int(self.output * NANOS), cached, kept)


class SamplingForm(SamplingFields, Strict):
    pass


class BreakerForm(Strict):
    share: float = Field(0.5, gt=0, le=1)
    least: int = Field(5, ge=1, le=1000)
    seconds: float = Field(10, gt=0, le=3600)


class ModelForm(Strict):
    name: Name
    generator: EngineKind
    description: str = ""
    bare: bool = False
    model: str = ""
    lora: str = ""
    base_url: BaseUrl = ""
    api_version: str = Field("", pattern=r"^[A-Za-z0-9.-]{0,32}$")
    region: str = Field("", pattern=r"^[a-z0-9-]{0,32}$")
    api_key_env: Variable = ""
    api_key_file: str = ""
    headers: Headers = {}
    price: PriceForm = PriceForm()
    context_length: int = Field(0, ge=0)
    answer_tokens: int = Field(1024, gt=0)
    longest_answer: int = Field(0, ge=0)
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    passes: frozenset[FieldName] = frozenset()
    capabilities: frozenset[Capability] | None = None
    sampling: SamplingForm = SamplingForm()
    priority: Literal["interactive", "batch"] | None = None
    timeout: float = Field(600, gt=0)
    concurrency: int = Field(256, ge=1)
    queue: int = Field(256, ge=0)
    queue_seconds: float = Field(30, gt=0)
    connections: int = Field(64, ge=1)
    connect_seconds: float = Field(5, gt=0)
    first_byte_seconds: float = Field(120, gt=0)
    idle_seconds: float = Field(60, gt=0)
    breaker: BreakerForm = BreakerForm()
    continues: bool = False
    prompt_caching: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.generator is EngineKind.ROUTE:
            raise ValueError("a route stands under `routes:`, not among the models")
        upstream = self.generator in UPSTREAMS
        if upstream and not self.base_url:
            raise ValueError(f"a model with `generator: {self.generator}` needs a base_url")
        for name in _OF_UPSTREAMS:
            if getattr(self, name) and not upstream:
                raise ValueError(f"{name} goes with an upstream, such as `generator: openai`")
        if self.api_version and self.generator is not EngineKind.AZURE:
            raise ValueError("api_version goes with `generator: azure`")
        if self.lora and self.generator is not EngineKind.TRITON:
            raise ValueError("lora goes with `generator: triton`")
        if self.prompt_caching and self.generator not in _CACHING:
            raise ValueError(f"prompt_caching goes with {', '.join(_CACHING)}; others find beginnings by themselves")
        if self.api_key_env and self.api_key_file:
            raise ValueError("give api_key_env or api_key_file, not both")
        return self

    @model_validator(mode="after")
    def _of_ollama(self) -> Self:
        if self.generator is EngineKind.OLLAMA and self.base_url.rstrip("/").endswith(("/v1", "/api")):
            raise ValueError("Ollama's own API is asked at http://HOST:11434, with no /v1 or /api behind it")
        return self

    @model_validator(mode="after")
    def _of_aws(self) -> Self:
        if self.generator is EngineKind.BEDROCK:
            if importlib.util.find_spec("botocore") is None:
                raise ValueError("bedrock needs a package that is not installed: pip install 'headworks[bedrock]'")
            if not self._region():
                raise ValueError(
                    "the base_url names no region of AWS, as bedrock-runtime.REGION.amazonaws.com: give region"
                )
        elif self.region:
            raise ValueError("region goes with `generator: bedrock`")
        return self

    def _region(self) -> str:
        """As it is given, or as the URL names it."""
        found = None if self.region else _AWS_REGION.search(self.base_url)
        return found[1] if found else self.region

    def entry(self) -> CatalogueEntry:
        capabilities = self.capabilities
        if capabilities is None:
            capabilities = _CAPABLE.get(self.generator, ALL)
        given = self.model_dump(exclude=_APART)
        return CatalogueEntry(
            **given,
            engine=self.generator,
            model=self.model or self.name,
            region=self._region() if self.generator is EngineKind.BEDROCK else "",
            price=self.price.price(),
            capabilities=capabilities,
            sampling=Sampling(**self.sampling.model_dump()),
            priority=_PRIORITIES[self.priority] if self.priority else None,
            bare_concurrency=self.concurrency if "concurrency" in self.model_fields_set else 0,
            breaker=BreakerSpec(**self.breaker.model_dump()),
        )


class TargetForm(Strict):
    model: str
    weight: int = Field(1, ge=1, le=1000)
    order: int = Field(0, ge=0, le=100)


class HedgeForm(Strict):
    share: float = Field(0.05, gt=0, le=1)
    least_seconds: float = Field(0.1, gt=0)


class DifficultyForm(Strict):
    small: str
    large: str
    model: str = ""
    tenants: dict[str, Annotated[str, Field(min_length=1)]] = {}
    cost: float | None = Field(None, ge=0, le=1)
    threshold: float | None = Field(None, ge=0, le=1)
    explore: float = Field(0.02, ge=0, le=0.05)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.small == self.large:
            raise ValueError(f"small and large are both {self.small!r}: name two targets of the route")
        if self.cost is not None and self.threshold is not None:
            raise ValueError("give cost or threshold, not both")
        if self.cost is not None and not self.model:
            raise ValueError(
                "cost goes with a model, which knows what its questions cost: train one with `headworks routes train`"
            )
        return self

    def spec(self, folder: Path) -> DifficultySpec:
        return DifficultySpec(
            self.small,
            self.large,
            folder / self.model if self.model else None,
            {tenant: folder / file for tenant, file in self.tenants.items()},
            self.cost,
            self.threshold,
            self.explore,
        )


class RouteForm(Strict):
    name: Name
    targets: list[TargetForm] = Field(min_length=1, max_length=32)
    description: str = ""
    bare: bool = False
    attempts: int = Field(4, ge=1, le=16)
    retry_share: float = Field(0.2, ge=0, le=1)
    first_token_seconds: float = Field(15, gt=0)
    whole_answer_seconds: float = Field(120, gt=0)
    faults: dict[Fault, Remedy] = {}
    hedge: HedgeForm | None = None
    balance: Balance = Balance.LOAD
    resume: bool = False
    difficulty: DifficultyForm | None = None

    @field_validator("faults")
    @classmethod
    def _not_ours(cls, faults: dict[Fault, Remedy]) -> dict[Fault, Remedy]:
        if Fault.OURS in faults:
            raise ValueError("for a fault of this side, such as the caller's deadline, there is no remedy")
        return faults

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [target.model for target in self.targets]
        for name in names:
            if name == self.name:
                raise ValueError(f"the route {name!r} leads to itself")
            if names.count(name) > 1:
                raise ValueError(f"the model {name!r} is a target twice: give it a weight instead")
        for name in (self.difficulty.small, self.difficulty.large) if self.difficulty else ():
            if name not in names:
                raise ValueError(f"difficulty: {name!r} is no target of the route {self.name!r}: {', '.join(names)}")
        return self

    def route(self, folder: Path) -> RouteSpec:
        """Files that it names are in the `folder`."""
        return RouteSpec(
            self.name,
            tuple(TargetSpec(target.model, target.weight, target.order) for target in self.targets),
            self.description,
            self.bare,
            self.attempts,
            self.retry_share,
            self.first_token_seconds,
            self.whole_answer_seconds,
            self.faults,
            HedgeSpec(**self.hedge.model_dump()) if self.hedge else None,
            self.balance,
            self.resume,
            self.difficulty.spec(folder) if self.difficulty else None,
        )


class CatalogueForm(Strict):
    models: list[ModelForm]
    routes: list[RouteForm] = []
    default: str = ""
    currency: str = Field("USD", pattern="^[A-Z]{3}$")


class UpstreamForm(Strict):
    """A model in the older file of upstreams, where each stands under its name and all are bare."""

    base_url: BaseUrl = Field(min_length=1)
    model: str = ""
    api_key_env: Variable = ""
    description: str = ""
    input_price: Amount = Decimal(0)
    output_price: Amount = Decimal(0)
    timeout: float = Field(600, gt=0)
    connect_seconds: float = Field(5, gt=0)
    idle_seconds: float = Field(60, gt=0)
    answer_tokens: int = Field(1024, gt=0)
    headers: Headers = {}

    def model_form(self, name: str) -> dict[str, object]:
        """The same model in today's form: what is not the default."""
        given = self.model_dump(mode="json", exclude_unset=True, exclude={"input_price", "output_price"})
        prices = {"input": float(self.input_price), "output": float(self.output_price)}
        limits = {} if self.idle_seconds == ModelForm.model_fields["first_byte_seconds"].default else {
            "first_byte_seconds": self.idle_seconds
        }  # fmt: skip
        return {
            "name": name,
            "generator": "openai",
            "bare": True,
            **given,
            **({"price": prices} if any(prices.values()) else {}),
            **limits,
        }


class UpstreamsForm(Strict):
    models: dict[Name, UpstreamForm]

    @field_validator("models", mode="before")
    @classmethod
    def _is_a_mapping(cls, models: object) -> object:
        if not isinstance(models, dict):
            raise ValueError("models are under their names")
        return models
