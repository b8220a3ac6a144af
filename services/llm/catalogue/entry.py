"""An entry of the model catalogue: a model's name, the engine behind it, its price and its limits. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from services.llm.chat import Priority, Sampling
from services.llm.generation import TokenCounts
from services.llm.price import Price


class EngineKind(StrEnum):
    """What generates the text; the words are those of the catalogue's file."""

    TRITON = "triton"  # the model `llm` in the mesh's own Triton
    OPENAI = "openai"  # an upstream that speaks OpenAI's chat completions
    AZURE = "azure"  # OpenAI's at Azure: other URLs, another header for the key
    ANTHROPIC = "anthropic"  # Anthropic's Messages
    GEMINI = "gemini"  # Google's generateContent
    BEDROCK = "bedrock"  # Amazon Bedrock's Converse
    OLLAMA = "ollama"  # Ollama's own API
    EXTRACTIVE = "extractive"  # quotes from passages, no language model
    ROUTE = "route"  # other models of the catalogue


class Capability(StrEnum):
    """What a model can do beyond text; the words are parts of the API."""

    TOOLS = "tools"
    JSON_SCHEMA = "json_schema"
    LOGPROBS = "logprobs"


ALL = frozenset(Capability)
UPSTREAMS = frozenset(EngineKind) - {EngineKind.TRITON, EngineKind.EXTRACTIVE, EngineKind.ROUTE}
"""Those that are asked over HTTP. Whatever their wire, all but that reads OpenAI's form."""
ANY_FIELD = "*"
"""In `passes`: every field goes on."""


@dataclass(frozen=True, slots=True)
class BreakerSpec:
    """Routes leave a model out once `least` calls one after the other have failed, or the `share` of at least as many
    of the last `seconds`."""

    share: float = 0.5
    least: int = 5
    seconds: float = 10


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A model that can be asked by `name`.

    `bare`: the gateway answers chat completions of it by itself, without a run. `model` is its name at the
    upstream, `lora` an adapter of Triton's model, `api_version` that of Azure's API, `region` one of AWS.
    `api_key_env` names the variable with the upstream's key, `api_key_file` a file with it; `headers` are further
    ones. `context_length`: tokens read and written in sum, 0 for unknown. `answer_tokens`: what an answer without a
    limit is expected to have; `longest_answer`: the most that the model writes, 0 for unknown; `limit_field`: under
    what name it takes that. `passes`: fields of callers that go on to the upstream beside those that always do.
    `sampling` holds where the caller says nothing; `priority`, if any, holds always. `timeout`: seconds for one
    generation. `concurrency` generations at once, and `bare_concurrency` of those that the gateway asks for by
    itself (0: any number), `queue` more may wait, `queue_seconds` at most. `connections` bounds those of agents to
    an upstream, `connect_seconds`, `first_byte_seconds` and `idle_seconds` what it may take to connect, to begin
    the answer, and between two parts of it. `continues`: it goes on from a beginning of its answer.
    `prompt_caching`: the provider is asked to find beginnings of prompts again.
    """

    name: str
    engine: EngineKind
    description: str = ""
    bare: bool = False
    model: str = ""
    lora: str = ""
    base_url: str = ""
    api_version: str = ""
    region: str = ""
    api_key_env: str = ""
    api_key_file: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    price: Price = Price()
    context_length: int = 0
    answer_tokens: int = 1024
    longest_answer: int = 0
    limit_field: str = "max_tokens"
    passes: frozenset[str] = frozenset()
    capabilities: frozenset[Capability] = field(default=frozenset())
    sampling: Sampling = Sampling()
    priority: Priority | None = None
    timeout: float = 600
    concurrency: int = 256
    bare_concurrency: int = 0
    queue: int = 256
    queue_seconds: float = 30
    connections: int = 64
    connect_seconds: float = 5
    first_byte_seconds: float = 120
    idle_seconds: float = 60
    breaker: BreakerSpec = BreakerSpec()
    continues: bool = False
    prompt_caching: bool = False

    @property
    def upstream(self) -> bool:
        """Whether it is asked over HTTP."""
        return self.engine in UPSTREAMS

    @property
    def places(self) -> int:
        """Generations under way at once: each to an upstream has a connection of its own."""
        return min(self.concurrency, self.connections) if self.upstream else self.concurrency

    def cost_nanos(self, tokens: TokenCounts) -> int:
        """What the tokens cost, in billionths of the catalogue's currency, rounded up."""
        return self.price.nanos(tokens.read, tokens.written, tokens.cached, tokens.kept)
