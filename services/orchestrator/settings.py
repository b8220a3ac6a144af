"""The orchestrator's settings, HEADWORKS_ORCHESTRATOR_…"""

from typing import ClassVar

from pydantic import Field

from services.runtime.settings import ServerSettings


class OrchestratorSettings(ServerSettings):
    service: ClassVar[str] = "orchestrator"

    retrieval_target: str = Field("xds:///retrieval", description="gRPC target of the retrieval service.")
    triton_target: str = Field("xds:///triton", description="gRPC target of Triton.")
    peers_target: str = Field(
        "xds:///orchestrator", description="gRPC target of the orchestrator's replicas, for runs that another one has."
    )
    search_seconds: float = Field(10, gt=0, description="Longest time a search may take.")
    generate_seconds: float = Field(60, gt=0, description="Longest time the writing of an answer may take.")
    detached_run_seconds: float = Field(600, gt=0, description="Longest time a detached run may take.")
    max_runs: int = Field(1000, gt=0, description="Runs under way at once on a replica; more are refused.")
    kept_runs: int = Field(1000, ge=0, description="Finished runs that a replica keeps in memory.")
    records_url: str = Field(
        "sqlite:///.headworks/orchestrator/runs.db",
        description="SQLAlchemy URL of the database with the record of runs; shared by all replicas.",
    )
    retained_runs: int = Field(10_000, gt=0, description="Finished runs that a replica keeps in the database.")
