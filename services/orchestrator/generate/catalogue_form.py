"""The form of the catalogue's file, and its entries."""

from decimal import Decimal
from typing import Literal, Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from services.orchestrator.conversation import Priority, Sampling
from services.orchestrator.generate.entry import ALL, Capability, Engine, Entry, Price
from services.orchestrator.sampling_form import SamplingFields

NANOS = 10**9
_PRIORITIES = {"interactive": Priority.INTERACTIVE, "batch": Priority.BATCH}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PriceForm(Strict):
    input: Decimal = Field(Decimal(0), ge=0)
    output: Decimal = Field(Decimal(0), ge=0)


class SamplingForm(SamplingFields, Strict):
    pass


class ModelForm(Strict):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")
    generator: Engine
    description: str = ""
    model: str = ""
    lora: str = ""
    base_url: str = Field("", pattern=r"^(https?://[^\s?#]+)?$")
    api_key_env: str = Field("", pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")
    api_key_file: str = ""
    price: PriceForm = PriceForm()
    context_length: int = Field(0, ge=0)
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

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name == "default":
            raise ValueError('"default" stands for the model that `default:` names')
        return name

    @field_validator("base_url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        try:
            usable = not url or bool(httpx.URL(url).host)
        except httpx.InvalidURL:
            usable = False
        if not usable:
            raise ValueError(f"{url!r} is not the URL of an upstream, such as https://api.example/v1")
        return url

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        upstream = self.generator is Engine.OPENAI
        if upstream and not self.base_url:
            raise ValueError("a model with `generator: openai` needs a base_url")
        for name in ("base_url", "model", "api_key_env", "api_key_file"):
            if getattr(self, name) and not upstream:
                raise ValueError(f"{name} goes with `generator: openai`")
        if self.lora and self.generator is not Engine.TRITON:
            raise ValueError("lora goes with `generator: triton`")
        if self.api_key_env and self.api_key_file:
            raise ValueError("give api_key_env or api_key_file, not both")
        return self

    def entry(self) -> Entry:
        capabilities = self.capabilities
        if capabilities is None:
            capabilities = frozenset() if self.generator is Engine.EXTRACTIVE else ALL
        given = self.model_dump(exclude={"generator", "price", "sampling", "capabilities", "priority", "model"})
        return Entry(
            **given,
            engine=self.generator,
            model=self.model or self.name,
            price=Price(int(self.price.input * NANOS), int(self.price.output * NANOS)),
            capabilities=capabilities,
            sampling=Sampling(**self.sampling.model_dump()),
            priority=_PRIORITIES[self.priority] if self.priority else None,
        )


class CatalogueForm(Strict):
    models: list[ModelForm]
    default: str = ""
    currency: str = Field("USD", pattern="^[A-Z]{3}$")
