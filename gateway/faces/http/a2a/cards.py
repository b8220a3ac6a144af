"""The cards of agents: what they do, where they are asked, and with what. Pure."""

from collections.abc import Mapping
from typing import Any

from a2a.server.request_handlers.response_helpers import agent_card_to_dict
from a2a.types import a2a_pb2 as a2a
from a2a.utils.constants import PROTOCOL_VERSION_0_3, PROTOCOL_VERSION_1_0
from headworks.orchestrator.v1 import agent_pb2

TEXT = "text/plain"
SCHEME = "key"


def card(agent: agent_pb2.Agent, base: str) -> dict[str, Any]:
    """The card of an agent that is reached at `base`, in the forms of both versions of the protocol."""
    said = agent.description or f"Answers questions with sources: the agent {agent.name}."
    scheme = a2a.HTTPAuthSecurityScheme(scheme="Bearer", description="An API key, or a token of the issuer.")
    required = a2a.SecurityRequirement(schemes={SCHEME: a2a.StringList()})
    made = a2a.AgentCard(
        name=agent.name,
        description=said,
        version=str(agent.version),
        supported_interfaces=[
            a2a.AgentInterface(url=f"{base}/a2a/{agent.name}", protocol_binding="JSONRPC", protocol_version=version)
            for version in (PROTOCOL_VERSION_1_0, PROTOCOL_VERSION_0_3)
        ],
        capabilities=a2a.AgentCapabilities(streaming=True),
        security_schemes={SCHEME: a2a.SecurityScheme(http_auth_security_scheme=scheme)},
        security_requirements=[required],
        default_input_modes=[TEXT],
        default_output_modes=[TEXT],
        skills=[a2a.AgentSkill(id="ask", name=f"Ask {agent.name}", description=said, tags=["question", "answer"])],
    )
    found: dict[str, Any] = agent_card_to_dict(made)
    return found


def base_of(headers: Mapping[str, str], public_url: str = "") -> str:
    """Where the mesh is reached: as the operator says, or the caller itself and the edge."""
    if public_url:
        return public_url.rstrip("/")
    return f"{headers.get('x-forwarded-proto', 'http')}://{headers.get('host', 'localhost')}"
