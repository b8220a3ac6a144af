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

    from cli.client import utf8
    from cli.showing import show_everything

    return asyncio.run(show_everything(utf8(question, "the question"), as_json))
