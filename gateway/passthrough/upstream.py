"""A model of an upstream, as the gateway needs to know it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Upstream:
    """`name` is what callers ask for, `model` what the upstream calls it. `headers` hold the key and are never shown.

    Prices are in nanos of the catalogue's currency per million tokens. `timeout` is for a whole answer,
    `idle_seconds` for each silence within it. `answer_tokens` is what an answer is reserved for where the caller names
    no limit.
    """

    name: str
    url: str
    model: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    api_key_env: str = ""
    description: str = ""
    input_nanos: int = 0
    output_nanos: int = 0
    timeout: float = 600.0
    connect_seconds: float = 5.0
    idle_seconds: float = 60.0
    answer_tokens: int = 1024
