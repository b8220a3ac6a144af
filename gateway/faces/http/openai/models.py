"""The models in OpenAI's form: agents, the catalogue's bare models, and the embedder."""

from typing import Any

from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

from gateway.faces.http.openai import embeddings

OWNER = "headworks"
NANOS = 1e9
EMBEDDER: dict[str, Any] = {
    "id": embeddings.MODEL,
    "object": "model",
    "created": 0,
    "owned_by": OWNER,
    "headworks": {"kind": "embedder", "description": "Embeds texts: 384 dimensions."},
}


def model(found: pb.Model) -> dict[str, Any]:
    """A model that runs can be asked of. What OpenAI's form has no place for stands under "headworks"; prices are per
    million tokens, in the catalogue's currency."""
    beyond: dict[str, Any] = {
        "kind": "agent" if found.agent_version else "model",
        "description": found.description,
        "capabilities": list(found.capabilities),
        "prices": {"input": found.input_price_nanos / NANOS, "output": found.output_price_nanos / NANOS},
    }
    if found.agent_version:
        beyond["version"] = found.agent_version
    if found.context_length:
        beyond["context_length"] = found.context_length
    return {"id": found.id, "object": "model", "created": 0, "owned_by": OWNER, "headworks": beyond}
