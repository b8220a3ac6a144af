"""`headworks mcp`."""

import os

import click
from headworks.gateway.v1 import mcp_server_pb2
from headworks.gateway.v1 import mcp_server_service_pb2 as pb

from cli.errors import CliError
from cli.messages import as_dict, list_all
from cli.options import MeshOptions, confirm, on_mesh, tenant_option, yes_option
from cli.output import print_done, print_list, print_record

COLUMNS = ("tenant", "name", "url", "headers", "tools", "timeout")
TOOL_COLUMNS = ("offered_name", "name", "description")


@click.group()
def mcp() -> None:
    """Other servers of the Model Context Protocol, whose tools are offered at /mcp.

    \b
    Examples:
      headworks mcp servers put wiki https://wiki.example/mcp --header authorization=env:WIKI_TOKEN
      headworks mcp servers tools wiki
      headworks mcp servers list
    """


@mcp.group()
def servers() -> None:
    """The servers that the tenant has registered.

    \b
    Examples:
      headworks mcp servers put wiki https://wiki.example/mcp --header authorization=env:WIKI_TOKEN
      headworks mcp servers list
    """


@servers.command()
@click.argument("name")
@click.argument("url")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE",
              help="A header to ask it with; env:VARIABLE as the value takes it from the environment.")  # fmt: skip
@click.option("--tool", "tools", multiple=True, help="A tool to offer, or the beginning of names with a *; else all.")
@click.option(
    "--call-timeout", type=click.FloatRange(0, 600), default=0, help="Seconds that one call may take; else 60."
)
@click.option("--oauth-issuer", default="", help="The authorization server that gives tokens for it.")
@click.option("--oauth-client", default="", help="The client's id there.")
@click.option("--oauth-secret", default="", help="Its secret: env:VARIABLE takes it from the environment.")
@click.option("--oauth-scope", default="", help="Scopes to ask for, with spaces between.")
@click.option("--keep-secrets", is_flag=True, help="Keep the headers and the secret that it has.")
@tenant_option
@on_mesh(30)
def put(
    name: str, url: str, headers: tuple[str, ...], tools: tuple[str, ...], call_timeout: float, oauth_issuer: str,
    oauth_client: str, oauth_secret: str, oauth_scope: str, keep_secrets: bool, tenant: str, on: MeshOptions,
) -> None:  # fmt: skip
    """Register the server at URL as NAME, in place of the one of that name.

    \b
    Examples:
      headworks mcp servers put wiki https://wiki.example/mcp --header authorization=env:WIKI_TOKEN
      headworks mcp servers put crm https://crm.example/mcp --oauth-issuer https://login.example \\
        --oauth-client headworks --oauth-secret env:CRM_SECRET --tool "read_*"
    """
    request = pb.PutMcpServerRequest(
        tenant=tenant, name=name, url=url, headers=dict(map(_header, headers)), tools=tools,
        client_secret=_value(oauth_secret), keep_secrets=keep_secrets,
    )  # fmt: skip
    if call_timeout:
        request.timeout.FromMilliseconds(round(call_timeout * 1000))
    if oauth_issuer or oauth_client or oauth_scope:
        client_id = mcp_server_pb2.McpOAuthClient(issuer=oauth_issuer, client_id=oauth_client, scope=oauth_scope)
        request.oauth.CopyFrom(client_id)
    with on.client() as client:
        print_record(on, as_dict(client.mcp_servers.PutMcpServer(request).server))


@servers.command("list")
@tenant_option
@on_mesh(30)
def list_(tenant: str, on: MeshOptions) -> None:
    """List the tenant's servers.

    \b
    Example:
      headworks mcp servers list
    """
    with on.client() as client:
        request = pb.ListMcpServersRequest(tenant=tenant)
        rows = [as_dict(row) for row in list_all(client.mcp_servers.ListMcpServers, request, "servers")]
    print_list(on, "servers", rows, COLUMNS, "No MCP servers: register one with `headworks mcp servers put`.")


@servers.command()
@click.argument("name")
@tenant_option
@on_mesh(60)
def tools(name: str, tenant: str, on: MeshOptions) -> None:
    """Ask the server NAME which tools it has.

    \b
    Example:
      headworks mcp servers tools wiki
    """
    with on.client() as client:
        request = pb.ListMcpServerToolsRequest(tenant=tenant, name=name)
        rows = [as_dict(row) for row in client.mcp_servers.ListMcpServerTools(request).tools]
    print_list(on, "tools", rows, TOOL_COLUMNS, "The server has no tools.")


@servers.command()
@click.argument("name")
@tenant_option
@yes_option
@on_mesh(30)
def delete(name: str, tenant: str, yes: bool, on: MeshOptions) -> None:
    """Delete the server NAME, and its secrets with it.

    \b
    Example:
      headworks mcp servers delete wiki --yes
    """
    confirm(on, f"Delete the MCP server {name}?", yes)
    with on.client() as client:
        client.mcp_servers.DeleteMcpServer(pb.DeleteMcpServerRequest(tenant=tenant, name=name))
    print_done(on, f"Deleted {name}.", deleted=name)


def _header(given: str) -> tuple[str, str]:
    name, separator, value = given.partition("=")
    if not separator or not name:
        raise CliError(f"--header is NAME=VALUE, such as authorization=env:TOKEN; {name!r} is not")
    return name, _value(value)


def _value(given: str) -> str:
    """What is given, or what the variable has that it names: secrets are best not in a shell's history."""
    name = given.removeprefix("env:")
    if name == given:
        return given
    if name not in os.environ:
        raise CliError(f"the variable {name} is not set")
    return os.environ[name]
