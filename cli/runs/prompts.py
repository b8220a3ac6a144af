"""`headworks prompts`: templates of messages by name and version, apart from the agents and calls that use them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from headworks.orchestrator.v1 import prompt_service_pb2 as pb

from cli.brief import counted
from cli.errors import USAGE, CliError
from cli.files import read_text
from cli.messages import as_dict, list_all
from cli.options import MeshOptions, confirm, on_mesh, yes_option
from cli.output import json_text, print_done, print_json, print_list, print_record
from cli.runs.versioned import Versioned, line

if TYPE_CHECKING:
    from cli.client import Client


def _apply(client: "Client", spec: str, dry_run: bool) -> tuple[Any, bool]:
    response = client.prompts.ApplyPrompt(pb.ApplyPromptRequest(spec=spec, dry_run=dry_run))
    return response.prompt, response.changed


def _get(client: "Client", name: str, version: int) -> Any:
    return client.prompts.GetPrompt(pb.GetPromptRequest(name=name, version=version)).prompt


PROMPTS = Versioned("a prompt", "prompts", _apply, _get)
COLUMNS = {"prompt": "name", "version": "version", "variables": "variables", "what it is for": "description",
           "cannot be used because": "unavailable", "applied": "create_time"}  # fmt: skip
ROLES = {1: "system", 2: "user", 3: "assistant", 4: "tool"}


@click.group()
def prompts() -> None:
    """Keep prompts: templates of messages by name and version. Agents name one as their instructions, calls in place
    of messages.

    \b
    Examples:
      headworks prompts apply prompts/ --dry-run
      headworks prompts list
      headworks prompts render greeter customer=Ann tone=stern
      headworks prompts diff greeter@1 greeter@2
      headworks prompts delete greeter@2
    """


@prompts.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE|FOLDER...")
@click.option("--dry-run", is_flag=True, help="Check only, and say what would change.")
@on_mesh(30)
def apply(paths: tuple[str, ...], dry_run: bool, on: MeshOptions) -> int:
    """Store files as the next versions of their prompts. One that means the same as the latest version changes nothing.

    Every file is tried; exits with 1 where one is not valid, which names the line or the field.

    \b
    Examples:
      headworks prompts apply greeter.yaml
      headworks prompts apply prompts/ --dry-run
    """
    return PROMPTS.apply_files(on, paths, dry_run)


@prompts.command()
@click.argument("name")
@click.option("--system", required=True, help="The template of the system message; @FILE reads it from a file.")
@click.option("--variable", "variables", multiple=True, metavar="NAME[=DEFAULT]", help="A text that stands in it.")
@click.option("--description", default="", help="What it is for.")
@on_mesh(30)
def create(name: str, system: str, variables: tuple[str, ...], description: str, on: MeshOptions) -> None:
    """Store a prompt NAME of one system message, without a file.

    \b
    Examples:
      headworks prompts create greeter --system "You greet {{ customer }}." --variable customer
      headworks prompts create helper --system @helper.txt --variable tone=friendly
    """
    text = read_text(Path(system[1:])) if system.startswith("@") else system
    declared = {}
    for given in variables:
        variable, with_default, default = given.partition("=")
        declared[variable] = {"default": default} if with_default else {}
    spec = {"name": name, "description": description, "variables": declared}
    # JSON is YAML, and needs no quoting of its own.
    body = json_text({**spec, "messages": [{"role": "system", "content": text}]}, 2)
    with on.client() as client:
        stored, changed = _apply(client, body, False)
    made = {"name": stored.name, "version": stored.version, "changed": changed, "unavailable": stored.unavailable}
    print_done(on, line(made, False), **made)


@prompts.command("list")
@on_mesh(30)
def list_(on: MeshOptions) -> None:
    """List the latest version of each prompt.

    \b
    Example:
      headworks prompts list
    """
    _list(on, "", "No prompts: store one with `headworks prompts apply`.")


@prompts.command()
@click.argument("name")
@on_mesh(30)
def versions(name: str, on: MeshOptions) -> None:
    """List all versions of the prompt NAME, the latest first.

    \b
    Example:
      headworks prompts versions greeter
    """
    _list(on, PROMPTS.reference(name)[0])


@prompts.command()
@click.argument("name")
@click.option("--yaml", "as_yaml", is_flag=True, help="Print the file alone.")
@on_mesh(30)
def show(name: str, as_yaml: bool, on: MeshOptions) -> None:
    """Show the prompt NAME, or its version NAME@VERSION.

    \b
    Examples:
      headworks prompts show greeter
      headworks prompts show greeter@2 --yaml > greeter.yaml
    """
    with on.client() as client:
        prompt = PROMPTS.find(client, name)
    if as_yaml:
        click.echo(prompt.spec, nl=not prompt.spec.endswith("\n"))
    elif on.as_json:
        print_json(as_dict(prompt))
    else:
        print_record(on, {key: value for key, value in _row(prompt).items() if key != "spec"})
        click.echo(f"\n{prompt.spec.rstrip()}")


@prompts.command()
@click.argument("old")
@click.argument("new", required=False)
@click.option("--exit-code", is_flag=True, help="Exit with 1 where there is a difference.")
@on_mesh(30)
def diff(old: str, new: str | None, exit_code: bool, on: MeshOptions) -> int:
    """Compare two prompts: each a file, or NAME or NAME@VERSION. One alone is compared with what is applied: a file
    with the latest version of its prompt, a version with the latest.

    \b
    Examples:
      headworks prompts diff greeter.yaml
      headworks prompts diff greeter@1 greeter@3
    """
    return PROMPTS.compare(on, old, new, exit_code)


@prompts.command()
@click.argument("name")
@click.argument("values", nargs=-1, metavar="VARIABLE=VALUE...")
@on_mesh(30)
def render(name: str, values: tuple[str, ...], on: MeshOptions) -> None:
    """Show the messages of the prompt NAME or NAME@VERSION with these values. No model is asked.

    \b
    Examples:
      headworks prompts render greeter customer=Ann
      headworks prompts render triage@3 'labels=["bug", "question"]' most=2
    """
    prompt_name, version = PROMPTS.reference(name)
    given = {}
    for value in values:
        variable, separator, text = value.partition("=")
        if not separator or not variable:
            raise CliError(f"{value!r} is not VARIABLE=VALUE, such as customer=Ann", USAGE)
        given[variable] = json_text(text)
    with on.client() as client:
        request = pb.RenderPromptRequest(name=prompt_name, version=version, variables=given)
        rendered = client.prompts.RenderPrompt(request).rendered
    messages = [{"role": ROLES.get(each.role, ""), "content": each.content} for each in rendered.messages]
    if on.as_json:
        print_json({"prompt": rendered.prompt, "messages": messages})
        return
    for message in messages:
        click.echo(click.style(f"{message['role']}:", bold=True))
        click.echo(f"{message['content'].rstrip()}\n")


@prompts.command()
@click.argument("name")
@yes_option
@on_mesh(30)
def delete(name: str, yes: bool, on: MeshOptions) -> None:
    """Delete the prompt NAME with all its versions, or its version NAME@VERSION. Agents that name it cannot run then;
    runs under way go on.

    \b
    Examples:
      headworks prompts delete greeter@2
      headworks prompts delete greeter --yes
    """
    prompt_name, version = PROMPTS.reference(name)
    confirm(on, f"Delete {name}{'' if version else ' with all its versions'}?", yes)
    with on.client() as client:
        request = pb.DeletePromptRequest(name=prompt_name, version=version)
        deleted = client.prompts.DeletePrompt(request).deleted
    print_done(on, f"Deleted {counted(deleted, 'version')} of {prompt_name}.", name=prompt_name, deleted=deleted)


def _list(on: MeshOptions, name: str, nothing: str = "") -> None:
    with on.client() as client:
        found = list_all(client.prompts.ListPrompts, pb.ListPromptsRequest(name=name), "prompts")
        rows = [as_dict(row) if on.as_json else _row(row) for row in found]
    print_list(on, "prompts", rows, COLUMNS, nothing)


def _row(prompt: Any) -> dict[str, Any]:
    """A prompt for people: its variables in one line, those that need a value with a star."""
    names = [f"{each.name}*" if each.required else each.name for each in prompt.variables]
    return as_dict(prompt) | {"variables": ", ".join(names)}
