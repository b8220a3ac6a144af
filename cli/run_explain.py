"""`headworks run explain`."""

import click

from cli.target import Target, on_mesh


@click.command()
@click.argument("run_id")
@on_mesh(30)
def explain(run_id: str, on: Target) -> None:
    """Say in words what the run RUN_ID did and why: what it retrieved, which tools it called and what came of it, what
    each step took and cost, who approved what, why it ended. Times are in seconds since it began.

    \b
    Examples:
      headworks run explain run_0123
      headworks run explain run_0123 --json | jq -r '.entries[].what'
    """
    from cli.client import utf8
    from cli.explaining import as_text
    from cli.explaining import explain as explained
    from cli.following import so_far
    from cli.output import print_json

    with on.calling() as client:
        entries = explained(so_far(client, utf8(run_id, "the run"), on.timeout))
    if on.as_json:
        print_json({"run_id": run_id, "entries": [entry.as_json() for entry in entries]})
    else:
        click.echo(as_text(entries))
