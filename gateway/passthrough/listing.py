"""The bare models in OpenAI's form, as /v1/models has them."""

from collections.abc import Iterable

from gateway.faces.http.openai.fields import Json
from gateway.faces.http.openai.models import NANOS, OWNER
from services.llm.catalogue.entry import Entry


def models(entries: Iterable[Entry]) -> list[Json]:
    """Prices are per million tokens."""
    return [_model(entry) for entry in entries]


def _model(entry: Entry) -> Json:
    beyond = {
        "kind": "upstream",
        "description": entry.description,
        "prices": {"input": entry.price.input_nanos / NANOS, "output": entry.price.output_nanos / NANOS},
    }
    return {"id": entry.name, "object": "model", "created": 0, "owned_by": OWNER, "headworks": beyond}
