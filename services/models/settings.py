"""The settings of the model server."""

from typing import Annotated

from annotated_types import Ge, Gt, Le
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ModelsSettings(BaseSettings):
    """Environment variables `HEADWORKS_MODELS_…`; each ends up in a model's configuration at the next start."""

    model_config = SettingsConfigDict(env_prefix="HEADWORKS_MODELS_", frozen=True)

    threads: Annotated[int, Ge(1)] = Field(default=1, description="Threads that one embedding instance computes with.")
    embed_instances: Annotated[int, Ge(1)] = Field(
        default=2,
        description="Instances of the embedding model; each is a process with its own copy of the weights (0.3 GiB). "
        "With one, requests at times wait half a second for Triton's batcher.",
    )
    embed_queue_size: Annotated[int, Gt(0)] = Field(
        default=256, description="Embedding requests that may wait; one more is refused with UNAVAILABLE."
    )
    embed_queue_delay: Annotated[int, Ge(0)] = Field(
        default=0, description="Microseconds that an embedding request may wait for others to share its batch."
    )
    answer_threshold: Annotated[float, Ge(0), Le(1)] = Field(
        default=0.5, description="Confidence (0 to 1) below which the extractive model says that there is no answer."
    )
    log_verbose: Annotated[int, Ge(0)] = Field(default=0, description="Triton's verbosity; 0 logs warnings and errors.")
