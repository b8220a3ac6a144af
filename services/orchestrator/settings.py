"""The orchestrator's settings, HEADWORKS_ORCHESTRATOR_…"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from services.runtime.settings import RecordsUrl, ServerSettings


class OrchestratorSettings(ServerSettings):
    service: ClassVar[str] = "orchestrator"

    max_deadline_seconds: float = Field(
        600, gt=0, description="Longest time a call may take; also the deadline of calls that come without one."
    )
    retrieval_target: str = Field("xds:///retrieval", description="gRPC target of the retrieval service.")
    triton_target: str = Field("xds:///triton", description="gRPC target of Triton.")
    llm_target: str = Field(
        "",
        description="gRPC target of the Triton that serves the language model, if that is not triton_target. Several, "
        "with commas between, are replicas: dns:///llm-0:8001,dns:///llm-1:8001. Each is asked where it knows the "
        "beginning of the prompt, as far as it is not too busy.",
    )
    peers_target: str = Field(
        "xds:///orchestrator", description="gRPC target of the orchestrator's replicas, for runs that another one has."
    )
    guard_target: str = Field(
        "", description="gRPC target of the gateway, whose guards screen what agents read; empty for none."
    )
    identity_target: str = Field(
        "xds:///gateway",
        description="gRPC target of the gateway, which renews the identity tokens of runs: by mutual TLS, or at its "
        "identity_socket.",
    )
    identity_timeout_seconds: float = Field(
        5, gt=0, description="Longest time that one such renewal may take; then it is tried again."
    )
    identity_patience_seconds: float = Field(
        60,
        gt=0,
        description="How long the gateway is asked for the identity token of a run that has none left, because another "
        "process began it or it waited for a person, before the run ends.",
    )
    guard_seconds: float = Field(
        2, gt=0, description="Longest time that a gateway's guards may take for one step; then another one is asked."
    )
    guard_attempts: int = Field(
        3, gt=0, description="Gateways that are asked, one after the other, before the guards are taken to be gone."
    )
    screen_when_guard_is_gone: Literal["auto", "closed", "open"] = Field(
        "auto",
        description="What happens while no gateway's guards can be asked: passages and tool results are not read "
        "(closed), are read as they are (open), or closed for agents with tools and open for the others (auto). A "
        "policy whose guard has when_gone closed is closed whatever this says.",
    )
    search_seconds: float = Field(10, gt=0, description="Longest time a search may take.")
    generate_seconds: float = Field(60, gt=0, description="Longest time the writing of an answer may take.")
    answer_threshold: float = Field(
        0.4, ge=0, le=1, description="Confidence (0 to 1) below which quotes are no answer, and the run says so."
    )
    catalogue_file: Path | None = Field(
        None, description="Older name of HEADWORKS_LLM_MODELS_FILE, read for this release."
    )
    llm: str = Field("", description="Name under which Triton's language model is served; empty where there is none.")
    llm_adapters: str = Field("", description="Names of its LoRA adapters, each a model too: NAME,NAME.")
    llm_context_length: int = Field(
        0, ge=0, description="Tokens that the language model can read and write in sum; 0 for unknown."
    )
    llm_concurrency: int = Field(
        256,
        ge=1,
        description="Generations that the language model does at once: further ones wait here, tenants taking turns.",
    )
    llm_streams: int = Field(2, ge=1, description="Streams that carry all generations to Triton.")
    rag_model: str = Field(
        "", description="The model that the agent rag asks, by its catalogue name; extractive if empty."
    )
    tools_file: Path | None = Field(
        None, description="YAML file of what tools may reach: databases, MCP servers, gRPC targets, hosts."
    )
    detached_run_seconds: float = Field(600, gt=0, description="Longest time a detached run may take.")
    max_runs: int = Field(
        1000,
        gt=0,
        description="Runs under way at once on a replica; more are refused. One tenant gets three quarters at most.",
    )
    max_waiting_runs: int = Field(
        10_000, gt=0, description="Runs beside them that wait for a person; while there are more, none is begun."
    )
    beat_seconds: float = Field(2, gt=0, description="How often a replica tells the others that it lives.")
    lease_seconds: float = Field(
        10, gt=0, description="A replica that was silent for this long is dead: another one takes up its runs."
    )
    records_url: RecordsUrl = Field(
        "sqlite:///.headworks/orchestrator/runs.db",
        description="Database of runs, sessions, agents and prompts, shared by all replicas: sqlite:///<file> or "
        "postgresql://<user>@<host>/<database>.",
    )
    identity_former_keys: tuple[Path, ...] = Field(
        (),
        description="PEM files of the identity_public_keys of before, whose mesh's database is this mesh's.",
    )
    place: str = Field(
        "",
        pattern="^[A-Za-z0-9-]{0,24}$",
        description="Where this replica runs: a name that only it and those of its name before it have, such as one of "
        "the machine and the data directory, which `headworks up` makes. One of its name that ran in the same place is "
        "taken to be dead, and one elsewhere once its lease has ended; empty is elsewhere.",
    )
    records_timeout_seconds: float = Field(
        5, gt=0, description="Longest time one transaction of the records may take, waiting included."
    )
    retained_runs: int = Field(10_000, gt=0, description="Finished runs that a replica keeps in the database.")


def environment() -> Mapping[str, str]:
    """The environment, for files that name variables of it."""
    return dict(os.environ)
