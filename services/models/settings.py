"""The settings of the model server."""

from typing import ClassVar

from pydantic import Field

from services.runtime.settings import Settings


class ModelsSettings(Settings):
    """HEADWORKS_MODELS_…; each ends up in a model's configuration at the next start of Triton."""

    service: ClassVar[str] = "models"

    threads: int = Field(1, ge=1, description="Threads that one embedding instance computes with.")
    embed_instances: int = Field(
        1, ge=1, description="Instances of `embed`; each is a process with its own copy of the weights (0.35 GiB)."
    )
    passage_instances: int = Field(
        2, ge=1, description="Instances of `embed_passages`, likewise; one a core makes ingestion fastest."
    )
    embed_queue_delay: int = Field(
        0, ge=0, description="Microseconds that an embedding request may wait for others to share its batch."
    )
    answer_threshold: float = Field(
        0.4,
        ge=0,
        le=1,
        description="Confidence (0 to 1) below which `extract` finds no answer.",
    )
    log_verbose: int = Field(0, ge=0, description="Triton's verbosity; 0 logs warnings and errors.")
