"""The models in OpenAI's form: agents, the catalogue's bare models, and the embedder."""

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


def _model(name: str, kind: str, description: str, **beyond: Any) -> Json:
    """What OpenAI's form has no place for stands under "headworks"."""
    beyond = {"kind": kind, "description": description, **beyond}
    return {"id": name, "object": "model", "created": 0, "owned_by": OWNER, "headworks": beyond}


def _prices(input_nanos: int, output_nanos: int) -> Json:
    """Per million tokens, in the catalogue's currency."""
    return {"input": input_nanos / NANOS, "output": output_nanos / NANOS}


EMBEDDER = _model(embeddings.MODEL, "embedder", "Embeds texts: 384 dimensions.")
