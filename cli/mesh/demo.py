"""`headworks demo`."""

import click

from cli.options import json_option

QUESTION = "What happens when control dies?"


@click.command()
@click.option("--question", default=QUESTION, show_default=True, help="What to ask the documentation.")
@json_option
def demo(question: str, as_json: bool) -> int:
    """Start a mesh in a temporary directory, ingest the documentation, ask one question, stop everything.

    \b
    Examples:
      headworks demo
      headworks demo --question "What happens when control dies?"
    """
    import asyncio

    from cli.mesh.demonstration import run_demo

    question.encode()  # refused before a mesh is started
    return asyncio.run(run_demo(question, as_json))
