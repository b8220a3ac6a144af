"""`headworks demo`."""

import click

from cli.options import json_option, some_model, timings_option

QUESTION = "What happens when control dies?"


@click.command()
@click.option("--question", default=QUESTION, show_default=True, help="What to ask the documentation.")
@click.option(
    "--llm",
    metavar="PATH_OR_NAME",
    callback=some_model,
    help="Also a language model, as `headworks up --llm` takes it, and a talk.",
)
@timings_option
@json_option
def demo(question: str, llm: str | None, timings: bool, as_json: bool) -> int:
    """Start a mesh in a temporary directory, ingest the documentation, ask one question, stop everything.

    With a language model, also hold a conversation with it, and run an agent that calls a tool.

    \b
    Examples:
      headworks demo
      headworks demo --llm smollm2
      headworks demo --question "What happens when control dies?" --timings
    """
    import asyncio

    from cli.mesh.demonstration import Show, run_demo

    question.encode()  # refused before a mesh is started
    return asyncio.run(run_demo(Show(question, timings, as_json), llm))
