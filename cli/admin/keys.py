"""`headworks keys`."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click
from headworks.gateway.v1 import api_key_service_pb2 as pb

from cli.messages import as_dict, list_all
from cli.options import MeshOptions, TimeSpan, confirm, on_mesh, tenant_option, yes_option
from cli.output import print_list, print_record

COLUMNS = ("id", "name", "state", "last_use_time", "expire_time", "principal", "scopes", "project", "prefix")


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke API keys. A secret is shown once, when its key is made.

    \b
    Examples:
      headworks keys create svc_… --name ci --scope "models.call:rag" --expires 90d
      headworks keys list
      headworks keys rotate key_… --overlap 24h
      headworks keys revoke key_…
    """


@keys.command()
@click.argument("principal")
@click.option("--name", default="", help="A name for people.")
@click.option("--project", default="", help="The id of its project.")
@click.option("--role", "roles", multiple=True, help="A role beside its principal's; may be repeated.")
@click.option("--scope", "scopes", multiple=True, help="Narrows what it may do to this pattern; may be repeated.")
@click.option("--expires", type=TimeSpan(), help="It ends after this time, such as 90d; by default never.")
@tenant_option
@on_mesh(30)
def create(principal: str, expires: timedelta | None, tenant: str, on: MeshOptions, **options: Any) -> None:
    """Make a key for PRINCIPAL, the id of a user or a service account, and show its secret.

    \b
    Examples:
      headworks keys create svc_… --name ci
      headworks keys create svc_… --scope "models.call:rag" --scope "collections.read:docs" --expires 90d
    """
    request = pb.CreateApiKeyRequest(tenant=tenant, principal=principal, **options)
    if expires is not None:
        request.expire_time.FromDatetime(datetime.now(UTC) + expires)
    with on.client() as client:
        _print_secret(on, client.keys.CreateApiKey(request))


@keys.command("list")
@click.option("--principal", default="", help="Those of this user or service account, by its id.")
@tenant_option
@on_mesh(30)
def list_(principal: str, tenant: str, on: MeshOptions) -> None:
    """List the keys, those that were revoked too.

    \b
    Example:
      headworks keys list --principal svc_…
    """
    with on.client() as client:
        request = pb.ListApiKeysRequest(tenant=tenant, principal=principal)
        rows = [_key(row) for row in list_all(client.keys.ListApiKeys, request, "keys")]
    print_list(on, "keys", rows, COLUMNS, "No keys yet: make one with `headworks keys create PRINCIPAL`.")


@keys.command()
@click.argument("key_id")
@tenant_option
@on_mesh(30)
def get(key_id: str, tenant: str, on: MeshOptions) -> None:
    """Show the key KEY_ID, without its secret.

    \b
    Example:
      headworks keys get key_…
    """
    with on.client() as client:
        request = pb.GetApiKeyRequest(tenant=tenant, id=key_id)
        print_record(on, _key(client.keys.GetApiKey(request).key))


@keys.command()
@click.argument("key_id")
@click.option("--overlap", type=TimeSpan(), default="24h", show_default=True, help="How long the old key stays good.")
@tenant_option
@on_mesh(30)
def rotate(key_id: str, overlap: timedelta, tenant: str, on: MeshOptions) -> None:
    """Make a key in the place of KEY_ID, and show its secret. The old one ends after the overlap.

    \b
    Example:
      headworks keys rotate key_… --overlap 1h
    """
    request = pb.RotateApiKeyRequest(tenant=tenant, id=key_id)
    request.overlap.FromTimedelta(overlap)
    with on.client() as client:
        _print_secret(on, client.keys.RotateApiKey(request))


@keys.command()
@click.argument("key_id")
@tenant_option
@yes_option
@on_mesh(30)
def revoke(key_id: str, tenant: str, yes: bool, on: MeshOptions) -> None:
    """End the key KEY_ID, within a second.

    \b
    Example:
      headworks keys revoke key_… --yes
    """
    confirm(on, f"Revoke {key_id}? Whoever uses it is refused.", yes)
    with on.client() as client:
        request = pb.RevokeApiKeyRequest(tenant=tenant, id=key_id)
        print_record(on, _key(client.keys.RevokeApiKey(request).key))


def _key(message: Any) -> dict[str, Any]:
    record = as_dict(message)
    return record | {"state": "revoked" if record["revoke_time"] else "replaced" if record["replaced_by"] else "live"}


def _print_secret(on: MeshOptions, response: Any) -> None:
    print_record(on, _key(response.key) | {"secret": response.secret})
    if not on.as_json:
        click.echo("\nThe secret is shown this once. Present it as `authorization: Bearer hw_…`.", err=True)
