"""The models in OpenAI's form: agents, the catalogue's bare models, and the embedder."""

from collections.abc import Sequence
from typing import Any

from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

from gateway.faces.http.openai import embeddings
from services.llm.catalogue.entry import CatalogueEntry
from services.llm.openai.chunks import Json

OWNER = "headworks"
NANOS = 1e9


def of_run(found: pb.Model) -> Json:
    """A model that runs can be asked of."""
    beyond: Json = {
        "capabilities": list(found.capabilities),
        "prices": _prices(found.input_price_nanos, found.output_price_nanos),
    }
    if found.agent_version:
        beyond["version"] = found.agent_version
    if found.context_length:
        beyond["context_length"] = found.context_length
    return _model(found.id, "agent" if found.agent_version else "model", found.description, **beyond)


def of_version(name: str, version: int, description: str) -> Json:
    """An agent's version, by the name that it is asked by."""
    return _model(f"{name}@{version}", "agent", description, version=version)


def of_entry(entry: CatalogueEntry) -> Json:
    """A bare model."""
    prices = _prices(entry.price.input_nanos, entry.price.output_nanos)
    return _model(entry.name, "upstream", entry.description, prices=prices)


def listed(models: Sequence[Json]) -> Json:
    """All of them on one page, in both forms."""
    ends = {"first_id": models[0]["id"], "last_id": models[-1]["id"]} if models else {}
    return {"object": "list", "data": models, "has_more": False, **ends}


def _model(name: str, kind: str, description: str, **beyond: Any) -> Json:
    """OpenAI's form, and Anthropic's, which has the same path. What both have no place for stands under
    "headworks"."""
    beyond = {"kind": kind, "description": description, **beyond}
    anthropic = {"type": "model", "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
    return {"id": name, "object": "model", "created": 0, "owned_by": OWNER, **anthropic, "headworks": beyond}


def _prices(input_nanos: int, output_nanos: int) -> Json:
    """Per million tokens, in the catalogue's currency."""
    return {"input": input_nanos / NANOS, "output": output_nanos / NANOS}


EMBEDDER = _model(embeddings.MODEL, "embedder", "Embeds texts: 384 dimensions.")
