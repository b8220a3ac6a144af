"""`headworks models`."""

from typing import Any

import click

from cli.target import Target, on_mesh

NANOS = 1e9


@click.command()
@on_mesh(30)
def models(on: Target) -> None:
    """List what answers: agents and the catalogue's bare models, with their prices per million tokens.

    \b
    Examples:
      headworks models
      headworks models --json | jq -r '.models[].id'
    """
    from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

    from cli.output import print_json, table, wide

    with on.calling() as client:
        response = client.orchestrator.ListModels(pb.ListModelsRequest(), **on.options(client))
    found = [_model(one) for one in response.models]
    if on.as_json:
        print_json({"models": found})
        return
    columns = ("model", "kind", "version", "context", "can", "in", "out", "what it does")
    rows = ((one["id"], one["kind"], one["version"] or "", one["context_length"] or "", " ".join(one["capabilities"]),
             one["input_price"] or "", one["output_price"] or "", one["description"]) for one in found)  # fmt: skip
    wide().print(table(columns, rows, right=("version", "context", "in", "out")))


def _model(one: Any) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": "agent" if one.agent_version else "model",
        "version": one.agent_version,
        "description": one.description,
        "context_length": one.context_length,
        "capabilities": list(one.capabilities),
        "input_price": one.input_price_nanos / NANOS,
        "output_price": one.output_price_nanos / NANOS,
    }
