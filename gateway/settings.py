"""The gateway's settings, HEADWORKS_GATEWAY_…"""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from services.runtime.settings import ServerSettings


class GatewaySettings(ServerSettings):
    service: ClassVar[str] = "gateway"

    max_message_bytes: int = Field(
        16 << 20,
        gt=0,
        description="Longest single gRPC message, in bytes; the most embeddings in one answer need 10 MiB.",
    )
    identity_private_key: Path = Field(
        Path(".headworks/identity/private.pem"),
        description="PEM file of the Ed25519 private key that identity tokens are signed with.",
    )
    api_keys_file: Path = Field(
        Path(".headworks/keys.json"), description="JSON file of the API keys, hashed; read again when it changes."
    )
    records_url: str = Field(
        "sqlite:///.headworks/gateway/records.db",
        description="Database of the gateway's records: sqlite:///<file> or postgresql://<user>@<host>/<database>.",
    )
    records_timeout_seconds: float = Field(
        5, gt=0, description="Longest time one transaction of the records may take, waiting included."
    )
    redis_url: str = Field(
        "", description="Redis of the counters that replicas share: redis://<host>:6379; in memory if empty."
    )
    run_identity_seconds: float = Field(
        86_400,
        ge=120,
        description="How long the identity token of a run is good; it waits no longer for an approval.",
    )
    orchestrator_target: str = Field("xds:///orchestrator", description="gRPC target of the orchestrator.")
    retrieval_target: str = Field("xds:///retrieval", description="gRPC target of the retrieval service.")
    triton_target: str = Field("xds:///triton", description="gRPC target of Triton, for /v1/embeddings.")
    embed_seconds: float = Field(30, gt=0, description="Longest time one batch of embeddings may take.")
    heartbeat_seconds: float = Field(
        10,
        gt=0,
        description="How often a streamed answer that waits for a person's approval sends a comment, in seconds.",
    )
