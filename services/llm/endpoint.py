"""Where an upstream's model is asked, and with what."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from services.llm.catalogue.entry import CatalogueEntry, EngineKind
from services.llm.secrets import secrets_of
from services.llm.wires.anthropic import AnthropicWire
from services.llm.wires.gemini import GeminiWire
from services.llm.wires.ollama import OllamaWire
from services.llm.wires.openai import AzureWire, OpenAiWire
from services.llm.wires.wire import Wire
from services.runtime.call import current_or_none

OPENAI = OpenAiWire()


def _tenant() -> str:
    """Whose the present call is."""
    call = current_or_none()
    return call.tenant if call is not None else ""


def _bedrock(entry: CatalogueEntry) -> Wire:
    from services.llm.wires.bedrock import BedrockWire  # an extra

    return BedrockWire(entry.region)


WIRES: Mapping[EngineKind, Callable[[CatalogueEntry], Wire]] = {
    EngineKind.OPENAI: lambda entry: OpenAiWire(_tenant if entry.prompt_caching else None),
    EngineKind.AZURE: lambda entry: AzureWire(_tenant if entry.prompt_caching else None),
    EngineKind.ANTHROPIC: lambda entry: AnthropicWire(entry.prompt_caching),
    EngineKind.GEMINI: lambda entry: GeminiWire(),
    EngineKind.BEDROCK: _bedrock,
    EngineKind.OLLAMA: lambda entry: OllamaWire(entry.context_length),
}
OUR_HEADERS = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "headworks"}


@dataclass(frozen=True)
class ModelEndpoint:
    """`name` is the model's in the catalogue, `model` the upstream's for it. `headers` hold the key and are never
    shown; `key_name` says where the key is from.

    `timeout` is for a whole answer, `first_byte_seconds` for its beginning, `idle_seconds` for each silence after
    that. `proxy` is the URL of an HTTP proxy on the way; empty for none. `limit_field` is the upstream's name for the
    most tokens of an answer. `wire`: how its provider is spoken to.
    """

    name: str
    url: str
    model: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    key_name: str = ""
    context_length: int = 0
    timeout: float = 600.0
    connect_seconds: float = 5.0
    first_byte_seconds: float = 120.0
    idle_seconds: float = 60.0
    proxy: str = ""
    limit_field: str = "max_tokens"
    wire: Wire = OPENAI

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """What no message may show."""
        return secrets_of(self.url, self.headers)


def endpoint_of(entry: CatalogueEntry, key: str = "", proxy: str = "") -> ModelEndpoint:
    """The endpoint of an upstream's entry; `key` is the upstream's, if it takes one."""
    wire = WIRES[entry.engine](entry)
    return ModelEndpoint(
        entry.name,
        wire.url(entry),
        entry.model,
        {**OUR_HEADERS, **wire.headers(key), **entry.headers},
        entry.api_key_env or entry.api_key_file or ("AWS's credentials" if entry.engine is EngineKind.BEDROCK else ""),
        entry.context_length,
        entry.timeout,
        entry.connect_seconds,
        entry.first_byte_seconds,
        entry.idle_seconds,
        proxy,
        entry.limit_field,
        wire,
    )
