"""The gateway's settings, HEADWORKS_GATEWAY_…"""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from services.runtime.identity import LIFETIME, LONGEST
from services.runtime.settings import RecordsUrl, ServerSettings, read_token


class GatewaySettings(ServerSettings):
    service: ClassVar[str] = "gateway"

    max_deadline_seconds: float = Field(
        600, gt=0, description="Longest time a call may take; also the deadline of calls that come without one."
    )
    max_message_bytes: int = Field(
        16 << 20,
        gt=0,
        description="Longest single gRPC message, in bytes; the most embeddings in one answer need 10 MiB.",
    )
    http_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port of the HTTP server, which answers below /v1/; 0 picks a free one. With tls_certificate it is "
        "mutual TLS.",
    )
    http_socket: Path | None = Field(
        None,
        description="Unix socket that the HTTP server listens at in place of host and http_port, without TLS: only its "
        "own user can connect.",
    )
    max_body_bytes: int = Field(
        16 << 20, gt=0, description="Longest body of an HTTP request, in bytes; a longer one gets 413."
    )
    identity_private_key: Path = Field(
        Path(".headworks/identity/private.pem"),
        description="PEM file of the Ed25519 private key that identity tokens are signed with.",
    )
    api_keys_file: Path = Field(
        Path(".headworks/keys.json"), description="JSON file of the API keys, hashed; read again when it changes."
    )
    records_url: RecordsUrl = Field(
        "sqlite:///.headworks/gateway/records.db",
        description="Database of the gateway's records: sqlite:///<file> or postgresql://<user>@<host>/<database>.",
    )
    records_timeout_seconds: float = Field(
        5, gt=0, description="Longest time one transaction of the records may take, waiting included."
    )
    redis_url: str = Field(
        "",
        pattern="^((redis|rediss|unix)://.+)?$",
        description="Redis of the counters and cached answers that replicas share: redis://<host>:6379; in memory if "
        "empty.",
    )
    guards_file: Path | None = Field(
        None, description="YAML of the guards of tenants that have no policy; the shipped ones if not set."
    )
    terms_dir: Path | None = Field(
        None, description="Folder of the lists of terms that guards may name: <name>.txt, one term a line."
    )
    identity_seconds: float = Field(
        LIFETIME,
        ge=1,
        le=LONGEST,
        description="How long an identity token is good. Those of longer runs are renewed, and the key that a run was "
        "started with is looked at then.",
    )
    run_identity_seconds: float = Field(
        86_400,
        ge=120,
        description="How long after its start the identity token of a run is renewed; it waits no longer for an "
        "approval.",
    )
    identity_socket: Path | None = Field(
        None,
        description="Unix socket at which the identity tokens of runs are renewed, where the mesh speaks without TLS: "
        "only its own user can connect. With mutual TLS they are renewed at the gateway's port.",
    )
    identity_stale_seconds: float = Field(
        5,
        gt=0,
        description="How long keys and roles are believed while the records cannot be reached; then only the keys of "
        "api_keys_file go on.",
    )
    identity_keys_in_memory: int = Field(
        200_000, gt=0, description="Most API keys kept in memory; where there are more, the others are looked up."
    )
    stranger_attempts_per_second: float = Field(
        5, gt=0, description="Calls without a valid key or token that one address may make in a second, for long."
    )
    stranger_burst: int = Field(100, gt=0, description="How many of these it may make at once.")
    trusted_proxies: int = Field(
        1,
        ge=0,
        description="How many proxies of one's own stand before the gateway, Envoy being one: so many entries of "
        "x-forwarded-for are believed, from the right. 0 takes the peer's address.",
    )
    edge_token_file: Path | None = Field(
        None,
        description="File with a token that Envoy sends with every call (HEADWORKS_CONTROL_EDGE_TOKEN_FILE). Where it "
        "is set, x-forwarded-for is believed of nobody else.",
    )
    oidc_issuer: str = Field(
        "", description="URL of the OpenID Connect issuer whose tokens are accepted beside API keys; empty for none."
    )
    oidc_audience: str = Field("", description="Audience (aud) that its tokens must be for.")
    oidc_jwks_url: str = Field("", description="URL of its public keys; empty to discover it.")
    oidc_algorithms: tuple[str, ...] = Field(
        ("RS256", "ES256", "EdDSA"),
        description="Algorithms that its tokens may be signed with; only asymmetric ones.",
    )
    oidc_tenant: str = Field("", description="Tenant of all its users; empty to read it from the token.")
    oidc_tenant_claim: str = Field("tenant", description="Claim that names the tenant; dots lead into objects.")
    oidc_roles_claim: str = Field("roles", description="Claim that names the roles, likewise.")
    oidc_groups_claim: str = Field(
        "groups", description="Claim that names the groups, likewise; empty to read none from tokens."
    )
    oidc_subject_claim: str = Field("sub", description="Claim that names the user, likewise.")
    oidc_passed_claims: tuple[str, ...] = Field(
        (),
        max_length=16,
        description="Claims that agents' filters may name, as `{{ claims.department }}`: the gateway passes them on.",
    )
    oidc_leeway_seconds: float = Field(
        30, ge=0, le=600, description="How far the issuer's clock and this one may be apart."
    )
    oidc_refresh_seconds: float = Field(300, gt=0, description="After so long the issuer's keys are fetched again.")
    oidc_stale_seconds: float = Field(
        86_400, gt=0, description="How long its keys are believed while it cannot be reached."
    )
    oidc_timeout_seconds: float = Field(5, gt=0, description="Longest time the issuer may take to answer.")
    orchestrator_target: str = Field("xds:///orchestrator", description="gRPC target of the orchestrator.")
    retrieval_target: str = Field("xds:///retrieval", description="gRPC target of the retrieval service.")
    triton_target: str = Field("xds:///triton", description="gRPC target of Triton, for /v1/embeddings and /v1/rerank.")
    rerank_seconds: float = Field(30, gt=0, description="Longest time one batch of texts may take to be reranked.")
    embed_seconds: float = Field(30, gt=0, description="Longest time one batch of embeddings may take.")
    upstreams_file: Path | None = Field(
        None,
        description="Older name of HEADWORKS_LLM_MODELS_FILE, read for this release, as is the older form of the file.",
    )
    upstream_connections: int | None = Field(
        None, gt=0, description="Older name of HEADWORKS_LLM_CONNECTIONS, for the gateway; read for this release."
    )
    heartbeat_seconds: float = Field(
        10,
        gt=0,
        description="How often a stream on which nothing comes, as while a tool runs or a person decides, sends a "
        "comment, in seconds.",
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^\s/]+(/[^\s]*)?)?$",
        description="Where callers reach the mesh, such as https://mesh.example.com; cards of agents say it. Empty: "
        "the host that a call names, whose port Envoy leaves out.",
    )
    mcp_hosts: tuple[str, ...] = Field(
        ("*",),
        description="Hosts of MCP servers that tenants may register, and of their OAuth issuers: example.com, "
        "*.example.com, example.com:8443; * is any, by https.",
    )
    mcp_private_hosts: tuple[str, ...] = Field(
        (),
        description="Hosts that tenants may register beside those, which may have addresses in a private network, such "
        "as http://wiki.internal:8080.",
    )
    mcp_origins: tuple[str, ...] = Field(
        (),
        description="Pages that may use /mcp from a browser, such as https://app.example.com, beside those of the "
        "caller's own machine; * is any.",
    )
    limits_requests_per_minute: int = Field(
        0, ge=0, description="Requests a minute of each caller for whom no rate limit is stored; 0 is no limit."
    )
    limits_tokens_per_minute: int = Field(0, ge=0, description="The same for tokens.")
    limits_concurrent_streams: int = Field(0, ge=0, description="The same for streams at once.")
    limits_when_redis_is_gone: Literal["open", "closed", "local"] = Field(
        "local",
        description="What happens to calls while the Redis of the rate limits is gone: they pass uncounted (open), "
        "are refused (closed), or are counted by each replica for itself (local).",
    )
    limits_redis_seconds: float = Field(
        0.25, gt=0, description="Longest time that Redis may take to admit a call; beyond that it counts as gone."
    )
    limits_stream_lease_seconds: float = Field(
        30,
        ge=1,
        description="After so long the streams of a gateway that died no longer count, where Redis counts them.",
    )
    cache_memory_bytes: int = Field(
        64 << 20,
        gt=0,
        description="Most bytes of answers that are cached in memory, where no Redis is set; those go first that were "
        "not used for longest.",
    )
    cache_answer_bytes: int = Field(256 << 10, gt=0, description="Longest answer that is cached, in bytes.")
    cache_answers: int = Field(
        10_000, gt=0, description="Most answers of one tenant that are cached in Redis; the oldest go first."
    )
    cache_redis_seconds: float = Field(
        0.1, gt=0, description="Longest time that Redis may take for a cached answer; beyond that it is a miss."
    )
    cache_embedder: Literal["all-minilm-l6-v2", "multilingual-e5-small"] = Field(
        "all-minilm-l6-v2",
        description="Embedder by which questions of the same meaning are found, which has to be served. Questions in "
        "languages that it does not speak have to be equal.",
    )
    cache_embed_seconds: float = Field(
        0.5, gt=0, description="Longest time that the embedder may take for a question; beyond that it is a miss."
    )
    budget_lease_seconds: float = Field(
        10, ge=1, description="After so long what a gateway that died held of a budget is free again."
    )
    budget_patience_seconds: float = Field(
        1.5,
        ge=0,
        description="How long a call that finds too little left of a budget waits for what other gateways do not use.",
    )
    budget_alert_url: str = Field(
        "", description="Address that the alerts of budgets are posted to as JSON, beside the log; empty posts none."
    )
    budget_alert_seconds: float = Field(5, gt=0, description="Longest time that one such post may take.")
    price_seconds: float = Field(
        30,
        gt=0,
        description="How long prices of models and instructions of agents are believed before they are read again.",
    )
    audit_when_records_are_gone: Literal["open", "closed"] = Field(
        "closed",
        description="What happens to calls that the audit cannot record because the records are gone: they are refused "
        "(closed), or served and only logged (open).",
    )
    audit_checkpoint_seconds: float = Field(
        300, ge=0, description="How often the ends of the audit's chains are signed; 0 for never."
    )
    audit_former_keys: tuple[Path, ...] = Field(
        (),
        description="PEM files of the public keys of identity_private_keys of before, by which what they signed of the "
        "audit is checked, and a database that is theirs is this mesh's.",
    )
    audit_content_tenants: str = Field(
        "",
        description="Tenants whose prompts and answers are kept with the audit, if they have not said themselves: "
        "NAME,NAME, or * for all.",
    )
    retention_runs_days: int = Field(
        0, ge=0, description="Days that runs are kept, for tenants that have not said themselves; 0 for ever."
    )
    retention_sessions_days: int = Field(0, ge=0, description="The same for sessions, after they were last used.")
    retention_usage_days: int = Field(0, ge=0, description="The same for the rows of usage; the sums of days stay.")
    retention_audit_content_days: int = Field(0, ge=0, description="The same for prompts and answers in the audit.")
    retention_audit_days: int = Field(
        0, ge=0, description="Days that records of the audit are kept, those of all tenants; 0 for ever."
    )
    retention_look_seconds: float = Field(
        60, gt=0, description="How often a gateway sees whether it is the one to end erasures and forget what is old."
    )

    def read_edge_token(self) -> str:
        """Empty where no file is set. Raises ValueError, OSError."""
        return read_token(self.edge_token_file) if self.edge_token_file else ""
