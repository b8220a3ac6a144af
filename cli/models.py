"""`headworks models`."""

from pathlib import Path
from typing import Any

import click

from cli.errors import CliError
from cli.target import Target, on_mesh

NANOS = 1e9


@click.group(invoke_without_command=True)
@on_mesh(30)
@click.pass_context
def models(ctx: click.Context, on: Target) -> None:
    """List what answers: agents and the catalogue's models, with their prices per million tokens.

    \b
    Examples:
      headworks models
      headworks models --json | jq -r '.models[].id'
      headworks models check models.yaml
    """
    if ctx.invoked_subcommand is None:
        _list(on)


@models.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Check a catalogue's FILE without a mesh: every fault is named by its line and field.

    Of a file of the older form, the same models in today's form are printed. The variables and the files of keys are
    not looked at: they are those of the processes that ask the models.
    """
    from services.llm.catalogue.file import BadCatalogue, read

    try:
        found = read(file)
    except BadCatalogue as error:
        raise CliError(str(error)) from None
    if found.rewritten:
        click.echo(f"{file} is of an older form, which will go; in today's form it is", err=True)
        click.echo(found.rewritten, nl=False)
        return
    bare = sum(entry.bare for entry in found.entries)
    click.echo(f"{file} is right: {len(found.entries)} models, {bare} of them bare, default {found.default or 'none'}")


def _list(on: Target) -> None:
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
