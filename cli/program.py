"""The `headworks` command: its verbs, and how each ends."""

import importlib
import os
import sys
from typing import Any

import click

from cli.errors import FAILURE, USAGE, CliError, interrupted
from cli.output import take_any_text, warn
from infra.local.limits import raise_files, refusal

# Of any verb; gRPC ends the process where it can open none.
FEWEST_FILES, MOST_FILES = 16, 1024
# Every verb, with the module that has it and what it does.
VERBS = {
    "up": ("mesh.up", "start the mesh and keep it running until Ctrl-C"),
    "demo": ("mesh.demo", "start a mesh, ingest the documentation, ask one question, stop"),
    "ask": ("runs.ask", "ask a question and print the cited answer"),
    "ingest": ("documents.ingest", "put files, pages of sites and exports into a collection"),
    "sync": ("documents.sync", "keep collections equal to folders, sites, checkouts and exports"),
    "search": ("documents.search", "find passages, with their scores"),
    "collections": ("documents.collections", "list, create and delete collections; list their documents"),
    "run": ("runs.run", "start, watch, explain, decide and cancel runs; list them"),
    "agents": ("runs.agents", "apply, list, compare and delete agents"),
    "prompts": ("runs.prompts", "apply, list, compare, render and delete prompts"),
    "sessions": ("runs.sessions", "list, show and delete conversations"),
    "models": ("runs.models", "the models and agents that answer, with their prices; check a catalogue's file"),
    "routes": ("routes.routes", "train and measure routes that go by difficulty, by scored questions"),
    "tools": ("runs.tools", "check the file that says what agents' tools may reach"),
    "tenants": ("admin.tenants", "make, list, suspend and delete tenants"),
    "projects": ("admin.projects", "make, list and delete projects"),
    "users": ("admin.principals", "make, list, suspend and delete users"),
    "accounts": ("admin.principals", "make, list, suspend and delete service accounts"),
    "keys": ("admin.keys", "make, list, rotate and revoke API keys"),
    "roles": ("admin.roles", "make, give and take roles"),
    "budgets": ("admin.budgets", "how much may be used in a day or a month"),
    "limits": ("admin.limits", "how much at once: requests, tokens, streams"),
    "guards": ("admin.guards", "what may be said: policies of guards"),
    "cache": ("admin.cache", "answers given again: policies, what they save, what is kept"),
    "mcp": ("admin.mcp", "servers whose tools are offered by MCP"),
    "usage": ("admin.usage", "what was used, and its price"),
    "audit": ("admin.audit", "the record of every call: list, verify, export"),
    "data": ("admin.data", "export and erase what is kept of somebody"),
    "status": ("mesh.status", "how each process of the mesh stands"),
    "certs": ("mesh.certs", "make and show the certificates of a development mesh"),
    "backup": ("mesh.backup", "save the data of a mesh, which may be running"),
    "restore": ("mesh.backup", "make a data directory of a backup"),
    "config": ("mesh.config", "the effective settings of every service, with their source"),
    "version": ("mesh.version", "the versions of Headworks and its engines"),
}


_ENDS = "`headworks up` ends with Ctrl-C, or with `kill PID` of its process"
STOPPING = {
    "down": _ENDS, "stop": _ENDS, "restart": f"{_ENDS}; start it again with `headworks up`",
    "start": "a mesh is started with `headworks up`, a run with `headworks run start`",
}  # fmt: skip
"""What other tools call what the mesh does, and how it is done here."""


class Verbs(click.Group):
    """Loads a verb's module when the verb is used, so that --help is quick."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises UsageError, which says how what was meant is done."""
        if args and args[0] in STOPPING:
            raise click.UsageError(f"there is no verb {args[0]!r}: {STOPPING[args[0]]}", ctx)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _ = VERBS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"cli.{module}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


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


def begin(argv: list[str]) -> int:
    """The exit code of the command line `argv`, of a process that does nothing else."""
    # gRPC's own log would put lines of its own between ours.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    take_any_text(sys.stdout, sys.stderr)
    return run(argv)


def run(argv: list[str]) -> int:
    """The exit code of the command line `argv`: 0, 1 for a failure, 2 for wrong usage, 130 for Ctrl-C, 143 for
    SIGTERM. Failures become a line on standard error."""
    if too_few := raise_files(FEWEST_FILES, MOST_FILES):
        return _fail(too_few, FAILURE)
    try:
        result: Any = headworks.main(argv, prog_name="headworks", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt) as stop:
        end = interrupted(stop.__cause__ if isinstance(stop, click.exceptions.Abort) else stop)
        return _fail(str(end), end.code)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except CliError as error:
        return _fail(str(error), error.code)
    except UnicodeEncodeError as error:
        if error.encoding != "utf-8":
            raise
        return _fail(f"{error.object!r} is not valid UTF-8", USAGE)
    except BrokenPipeError:
        return FAILURE
    except (OSError, RuntimeError, MemoryError) as error:
        if (limit := refusal(error)) is None:
            raise
        return _fail(limit, FAILURE)
    return result if isinstance(result, int) else 0


def _fail(message: str, code: int) -> int:
    warn(message)
    return code
