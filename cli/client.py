"""Calls of the mesh, through its edge, with the key and a deadline; failures become one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import grpc
from headworks.gateway.v1.api_key_service_pb2_grpc import ApiKeyServiceStub
from headworks.gateway.v1.audit_service_pb2_grpc import AuditServiceStub
from headworks.gateway.v1.budget_service_pb2_grpc import BudgetServiceStub
from headworks.gateway.v1.cache_service_pb2_grpc import CacheServiceStub
from headworks.gateway.v1.guard_policy_service_pb2_grpc import GuardPolicyServiceStub
from headworks.gateway.v1.mcp_server_service_pb2_grpc import McpServerServiceStub
from headworks.gateway.v1.principal_service_pb2_grpc import PrincipalServiceStub
from headworks.gateway.v1.privacy_service_pb2_grpc import PrivacyServiceStub
from headworks.gateway.v1.project_service_pb2_grpc import ProjectServiceStub
from headworks.gateway.v1.rate_limit_service_pb2_grpc import RateLimitServiceStub
from headworks.gateway.v1.role_service_pb2_grpc import RoleServiceStub
from headworks.gateway.v1.tenant_service_pb2_grpc import TenantServiceStub
from headworks.gateway.v1.usage_service_pb2_grpc import UsageServiceStub
from headworks.orchestrator.v1.agent_service_pb2_grpc import AgentServiceStub
from headworks.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from headworks.orchestrator.v1.prompt_service_pb2_grpc import PromptServiceStub
from headworks.orchestrator.v1.session_service_pb2_grpc import SessionServiceStub
from headworks.retrieval.v1 import retrieval_service_pb2 as retrieval_pb
from headworks.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub

from cli.calls import Calls
from cli.edge import Edge
from cli.errors import CliError
from cli.interrupt import Interrupt
from services.runtime import proxies
from services.runtime.file_faults import fault
from services.runtime.statuses import error_info

MAX_MESSAGE = 16 << 20
LIST_SECONDS = 5.0
LOOK = {
    "MODEL_NOT_FOUND": "`headworks models`",
    "AGENT_NOT_FOUND": "`headworks agents list`",
    "PROMPT_NOT_FOUND": "`headworks prompts list`",
    "RUN_NOT_FOUND": "`headworks run list`",
    "SESSION_NOT_FOUND": "`headworks sessions list`",
    "APPROVAL_NOT_FOUND": "`headworks run list --state waiting`",
    "TENANT_NOT_FOUND": "`headworks tenants list`",
    "PROJECT_NOT_FOUND": "`headworks projects list`",
    "PRINCIPAL_NOT_FOUND": "`headworks users list` and `headworks accounts list`",
    "ROLE_NOT_FOUND": "`headworks roles list`",
    "KEY_NOT_FOUND": "`headworks keys list`",
    "BUDGET_NOT_FOUND": "`headworks budgets list`",
    "LIMIT_NOT_FOUND": "`headworks limits list`",
    "GUARD_POLICY_NOT_FOUND": "`headworks guards list`",
    "CACHE_POLICY_NOT_FOUND": "`headworks cache list`",
    "MCP_SERVER_NOT_FOUND": "`headworks mcp servers list`",
}
BROKEN = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS)
PLAIN = "WRONG_VERSION_NUMBER"
"""What OpenSSL makes of an answer that is not TLS."""
OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class Client:
    """The stubs of a mesh's services, called with the key and, unless a call has its own, a `timeout` in seconds.
    Enter it to open the channel."""

    def __init__(self, edge: Edge, timeout: float | None = None, interrupt: Interrupt | None = None) -> None:
        self.edge = edge
        interrupt = interrupt or Interrupt()
        options = [*OPTIONS, *([proxies.NO_PROXY] if proxies.is_local(edge.target) else [])]
        with interrupt.held():
            transport = (
                grpc.secure_channel(edge.target, grpc.ssl_channel_credentials(_roots(edge)), options)
                if edge.secure
                else grpc.insecure_channel(edge.target, options)
            )
        self._calls = Calls(transport, edge.key, timeout, interrupt)
        channel = cast(grpc.Channel, self._calls)
        self.orchestrator = OrchestratorServiceStub(channel)
        self.agents = AgentServiceStub(channel)
        self.prompts = PromptServiceStub(channel)
        self.sessions = SessionServiceStub(channel)
        self.retrieval = RetrievalServiceStub(channel)
        self.audit = AuditServiceStub(channel)
        self.budgets = BudgetServiceStub(channel)
        self.cache = CacheServiceStub(channel)
        self.guards = GuardPolicyServiceStub(channel)
        self.keys = ApiKeyServiceStub(channel)
        self.limits = RateLimitServiceStub(channel)
        self.mcp_servers = McpServerServiceStub(channel)
        self.principals = PrincipalServiceStub(channel)
        self.privacy = PrivacyServiceStub(channel)
        self.projects = ProjectServiceStub(channel)
        self.roles = RoleServiceStub(channel)
        self.tenants = TenantServiceStub(channel)
        self.usage = UsageServiceStub(channel)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._calls.close()

    def collections(self) -> list[str]:
        """The names of the collections; empty where they cannot be had."""
        try:
            request = retrieval_pb.ListCollectionsRequest(page_size=1000)
            response = self.retrieval.ListCollections(request, timeout=LIST_SECONDS)
        except grpc.RpcError:
            return []
        return [collection.name for collection in response.collections]

    def explain(self, error: grpc.RpcError) -> CliError:
        """What a failed call means for a person, and what to do."""
        code: grpc.StatusCode = error.code()
        message = error.details() or code.name
        info = error_info(cast(Any, error))
        reason = info.reason if info else ""
        if reason == "COLLECTION_NOT_FOUND":
            return CliError(f"{message}; {_have(self.collections())}")
        if reason in LOOK:
            return CliError(f"{message}; see {LOOK[reason]}")
        match code:
            case grpc.StatusCode.UNAUTHENTICATED:
                return CliError(f"the key was refused by {self.edge.url}: {message}; give the right one with --key")
            case grpc.StatusCode.UNAVAILABLE if not reason:
                return CliError(_unreached(self.edge, message, bool(error.trailing_metadata())))
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return CliError("no answer in time: allow more with --timeout")
        if not reason and (code == grpc.StatusCode.CANCELLED or broke_off(error)):
            return CliError(
                f"the mesh at {self.edge.url} broke off the answer, as when a gateway ends: ask again, and look with "
                "`headworks status`"
            )
        return CliError(f"{message} ({reason or code.name})")


@contextmanager
def connect(edge: Edge, timeout: float, interrupt: Interrupt) -> Iterator[Client]:
    """A client whose failed calls end the command, as Ctrl-C does. Raises CliError."""
    with Client(edge, timeout, interrupt) as client:
        try:
            yield client
        except grpc.RpcError as error:
            raise client.explain(error) from None


def broke_off(error: grpc.RpcError) -> bool:
    """Whether the connection broke while the call was under way: then no service says why, and gRPC's own words are of
    use to its makers alone."""
    return error.code() in BROKEN and error_info(cast(Any, error)) is None


def _unreached(edge: Edge, message: str, answered: bool) -> str:
    """Why no service of the mesh has answered, of which gRPC and Envoy say what only their makers understand.
    `answered`: whether something at the edge has, which is Envoy then."""
    url = edge.url
    if answered:
        return (
            f"no gateway answers behind {url}: the mesh is starting, or its gateways are gone or have too much to do; "
            "look with `headworks status`, and try again"
        )
    if variable := proxies.proxy_variable(edge.target):
        return (
            f"the mesh at {url} cannot be reached ({message}) by way of the proxy that {variable} names: "
            f"if none is needed, add {proxies.host_of(edge.target)} to no_proxy"
        )
    if edge.secure and PLAIN in message.upper():
        return f"the mesh at {url} speaks http, not https: give --edge http://{edge.target}"
    told = message.lower()
    if "handshake failed" in told:
        return (
            f"no trusted TLS connection to {url} can be made: give the CA of its certificate with --ca, or an address "
            "with http:// where it has none"
        )
    if "errors resolving" in told or "dns resolution" in told:
        return f"the host of {url} is not known: is the address right?"
    return (
        f"the mesh at {url} cannot be reached, or broke the connection off: look with `headworks status`, start it "
        "with `headworks up`"
    )


def _roots(edge: Edge) -> bytes | None:
    """The authority to trust; None for those that gRPC does. Raises CliError."""
    try:
        return edge.ca.read_bytes() if edge.ca else None
    except OSError as error:
        raise CliError(f"the CA {edge.ca} cannot be read: {fault(error)}") from None


def _have(names: list[str]) -> str:
    if not names:
        return "there are none yet: make one with `headworks ingest PATH… --collection NAME`"
    listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return f"there are: {listed}"
