"""Policies of a tenant or of one of its agents, as verbs print them."""

from collections.abc import Callable
from typing import Any

import click

from cli.errors import CliError
from cli.messages import as_dict, list_all
from cli.options import MeshOptions
from cli.output import print_record


def print_policy(on: MeshOptions, method: Callable[..., Any], request: Any, agent: str, see: str) -> None:
    """The policy of this agent, of those that the method lists: its YAML as it was put. `see`: the command that lists
    them. Raises CliError where there is none."""
    policy = next((row for row in list_all(method, request, "policies") if row.agent == agent), None)
    if policy is None:
        raise CliError(f"there is no such policy; see `{see}`")
    if on.as_json:
        print_record(on, as_dict(policy))
    else:
        click.echo(policy.spec, nl=not policy.spec.endswith("\n"))
