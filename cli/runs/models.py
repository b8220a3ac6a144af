"""`headworks models`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

from cli.brief import counted
from cli.errors import CliError
from cli.options import MeshOptions, on_mesh
from cli.output import print_list

if TYPE_CHECKING:
    from services.llm.catalogue.route import DifficultySpec

NANOS = 1e9
COLUMNS = {"model": "id", "kind": "kind", "what it does": "description", "context": "context_length",
           "in": "input_price", "out": "output_price", "can": "capabilities", "version": "version"}  # fmt: skip


TARGET_COLUMNS = {"route": "route", "target": "target", "order": "order", "weight": "weight", "breaker": "breaker",
                  "asked again in": "open_seconds", "failing": "failing", "under way": "in_flight",
                  "p95 first token": "slow_seconds"}  # fmt: skip


@click.group(invoke_without_command=True)
@on_mesh(30)
@click.pass_context
def models(ctx: click.Context, on: MeshOptions) -> None:
    """List what answers: agents and the catalogue's models, with their prices per million tokens.

    \b
    Examples:
      headworks models
      headworks models --json | jq -r '.models[].id'
      headworks models status
      headworks models check models.yaml
    """
    if ctx.invoked_subcommand is None:
        _list(on)


@models.command()
@on_mesh(30)
def status(on: MeshOptions) -> None:
    """Show how the targets of the routes are: whether they are asked, how many of their last calls have failed.

    Each replica finds that out by its own calls, and by what others tell it over Redis: this is what the replica that
    answers knows. Bare routes are asked by gateways, others by orchestrators.

    \b
    Examples:
      headworks models status
      headworks models status --json | jq '.targets[] | select(.breaker != "closed")'
    """
    with on.client() as client:
        response = client.orchestrator.ListModels(pb.ListModelsRequest())
    rows = [_target(model.id, target) for model in response.models for target in model.targets]
    if not rows and not on.as_json:
        click.echo("there are no routes: the catalogue names them under `routes:`")
        return
    print_list(on, "targets", rows, TARGET_COLUMNS)


@models.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Check a catalogue's FILE without a mesh: every fault is named by its line and field.

    Of a file of the older form, the same models in today's form are printed. The variables and the files of keys are
    not looked at: they are those of the processes that ask the models. The classifiers of routes that go by difficulty
    are.

    \b
    Example:
      headworks models check models.yaml
    """
    from services.llm.catalogue.file import BadCatalogue, read

    try:
        catalogue = read(file)
    except BadCatalogue as error:
        raise CliError(str(error)) from None
    for route in catalogue.routes:
        if route.difficulty is not None:
            _check_classifiers(file, route.name, route.difficulty)
    if catalogue.rewritten:
        click.echo(f"{file} is of an older form, which will go; in today's form it is", err=True)
        click.echo(catalogue.rewritten, nl=False)
        return
    bare = sum(entry.bare for entry in catalogue.entries)
    models = counted(len(catalogue.entries), "model")
    elsewhere = {target.model for route in catalogue.routes for target in route.targets}
    elsewhere -= {entry.name for entry in catalogue.entries}
    routes = f", {counted(len(catalogue.routes), 'route')}" if catalogue.routes else ""
    click.echo(f"{file} is right: {models}, {bare} of them bare{routes}, default {catalogue.default or 'none'}")
    if elsewhere:
        click.echo(f"not in the file, so to be served by the mesh itself: {', '.join(sorted(elsewhere))}", err=True)


def _check_classifiers(file: Path, route: str, spec: "DifficultySpec") -> None:
    """Raises CliError."""
    from services.llm.difficulty.classifier import BadClassifier
    from services.llm.difficulty.judge import judge_of

    try:
        judge_of(route, spec, None)
    except BadClassifier as error:
        raise CliError(f"{file}: route {route!r}: difficulty: {error}") from None


def _list(on: MeshOptions) -> None:
    with on.client() as client:
        response = client.orchestrator.ListModels(pb.ListModelsRequest())
    rows = [_model(message) for message in response.models]
    if not on.as_json:
        rows = [{key: value or "" for key, value in row.items()} for row in rows]
    print_list(on, "models", rows, COLUMNS)


def _model(message: Any) -> dict[str, Any]:
    return {
        "id": message.id,
        "kind": "agent" if message.agent_version else "model",
        "version": message.agent_version,
        "description": message.description,
        "context_length": message.context_length,
        "capabilities": list(message.capabilities),
        "input_price": message.input_price_nanos / NANOS,
        "output_price": message.output_price_nanos / NANOS,
    }


def _target(route: str, message: Any) -> dict[str, Any]:
    return {
        "route": route,
        "target": message.model,
        "order": message.order,
        "weight": message.weight,
        "breaker": message.breaker,
        "open_seconds": message.open_seconds,
        "failing": message.failing,
        "in_flight": message.in_flight,
        "slow_seconds": message.slow_seconds,
    }
