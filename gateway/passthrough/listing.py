"""The upstreams' models in OpenAI's form, as /v1/models shows them."""

from collections.abc import Iterable

from gateway.openai.fields import Json
from gateway.openai.models import NANOS, OWNER
from gateway.passthrough.upstream import Upstream


def models(upstreams: Iterable[Upstream]) -> list[Json]:
    """Prices are per million tokens."""
    return [_model(upstream) for upstream in upstreams]


def _model(upstream: Upstream) -> Json:
    beyond = {
        "kind": "upstream",
        "description": upstream.description,
        "prices": {"input": upstream.input_nanos / NANOS, "output": upstream.output_nanos / NANOS},
    }
    return {"id": upstream.name, "object": "model", "created": 0, "owned_by": OWNER, "headworks": beyond}
