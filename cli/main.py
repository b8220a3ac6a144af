"""The `headworks` command."""

import importlib
import os
import sys
from typing import Any

import click

from cli.errors import INTERRUPTED, CliError

VERBS = {
    "up": "start the mesh and keep it running until Ctrl-C",
    "demo": "start a mesh, ingest the documentation, ask one question, stop",
    "ask": "ask a question and print the cited answer",
    "ingest": "put files into a collection",
    "search": "find passages, with their scores",
    "collections": "list, create and delete collections; list their documents",
    "run": "start, watch, explain, decide and cancel runs; list them",
    "agents": "apply, list, compare and delete agents",
    "sessions": "list, show and delete conversations",
    "models": "the models and agents that answer, with their prices; check a catalogue's file",
    "tenants": "make, list, suspend and delete tenants",
    "projects": "make, list and delete projects",
    "users": "make, list, suspend and delete users",
    "accounts": "make, list, suspend and delete service accounts",
    "keys": "make, list, rotate and revoke API keys",
    "roles": "make, give and take roles",
    "budgets": "how much may be used in a day or a month",
    "limits": "how much at once: requests, tokens, streams",
    "guards": "what may be said: policies of guards",
    "usage": "what was used, and its price",
    "audit": "the record of every call: list, verify, export",
    "data": "export and erase what is kept of somebody",
    "status": "how each process of the mesh stands",
    "certs": "make and show the certificates of a development mesh",
    "config": "the effective settings of every service, with their source",
    "version": "the versions of Headworks and its engines",
}


class Verbs(click.Group):
    """Loads a verb's module when the verb is used, so that --help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = getattr(importlib.import_module(f"cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def headworks() -> None:
    """Headworks: a gRPC mesh that takes LLM agents and RAG from proof of concept to production.

    \b
    Begin with:
      headworks up
    and from another shell:
      headworks ingest docs --collection docs
      headworks ask "What is Headworks?" --collection docs
    """


def main(argv: list[str] | None = None) -> None:
    """Entry point: run the verb, turn failures into a line on standard error and an exit code."""
    # gRPC's own log would put lines of its own between ours.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: list[str]) -> int:
    """The exit code of the command line `argv`: 0, 1 for a failure, 2 for wrong usage, 130 for Ctrl-C."""
    try:
        result: Any = headworks.main(argv, prog_name="headworks", standalone_mode=False)
    except click.exceptions.Abort:
        return _say("interrupted", INTERRUPTED)
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except CliError as error:
        return _say(str(error), error.code)
    except BrokenPipeError:
        return 1
    return result if isinstance(result, int) else 0


def _say(message: str, code: int) -> int:
    click.echo(f"headworks: {message}", err=True)
    return code
