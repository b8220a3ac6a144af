"""`headworks keys`."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from cli.admin import Span, confirm, every, facts, show_all, show_one, tenant_option, yes_option
from cli.target import Target, on_mesh

COLUMNS = ("id", "prefix", "name", "principal", "project", "scopes", "expire_time", "last_use_time", "state")
STATES = ("revoked", "replaced", "live")


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
@click.option("--expires", type=Span(), help="It ends after this time, such as 90d; by default never.")
@tenant_option
@on_mesh(30)
def create(principal: str, expires: timedelta | None, tenant: str, on: Target, **given: Any) -> None:
    """Make a key for PRINCIPAL, the id of a user or a service account, and show its secret.

    \b
    Examples:
      headworks keys create svc_… --name ci
      headworks keys create svc_… --scope "models.call:rag" --scope "collections.read:docs" --expires 90d
    """
    from headworks.gateway.v1 import api_key_service_pb2 as pb

    request = pb.CreateApiKeyRequest(tenant=tenant, principal=principal, **given)
    if expires is not None:
        request.expire_time.FromDatetime(datetime.now(UTC) + expires)
    with on.calling() as client:
        made = client.keys.CreateApiKey(request, **on.options(client))
    _show_secret(on, made)


@keys.command("list")
@click.option("--principal", default="", help="Those of this user or service account, by its id.")
@tenant_option
@on_mesh(30)
def list_(principal: str, tenant: str, on: Target) -> None:
    """List the keys, those that were revoked too.

    \b
    Example:
      headworks keys list --principal svc_…
    """
    from headworks.gateway.v1 import api_key_service_pb2 as pb

    with on.calling() as client:
        request = pb.ListApiKeysRequest(tenant=tenant, principal=principal)
        found = [_key(one) for one in every(client.keys.ListApiKeys, request, "keys", on.options(client))]
    show_all(on, "keys", found, COLUMNS, "No keys yet: make one with `headworks keys create PRINCIPAL`.")


@keys.command()
@click.argument("key_id")
@tenant_option
@on_mesh(30)
def get(key_id: str, tenant: str, on: Target) -> None:
    """Show the key KEY_ID, without its secret.

    \b
    Example:
      headworks keys get key_…
    """
    from headworks.gateway.v1 import api_key_service_pb2 as pb

    with on.calling() as client:
        request = pb.GetApiKeyRequest(tenant=tenant, id=key_id)
        show_one(on, _key(client.keys.GetApiKey(request, **on.options(client)).key))


@keys.command()
@click.argument("key_id")
@click.option("--overlap", type=Span(), default="24h", show_default=True, help="How long the old key stays good.")
@tenant_option
@on_mesh(30)
def rotate(key_id: str, overlap: timedelta, tenant: str, on: Target) -> None:
    """Make a key in the place of KEY_ID, and show its secret. The old one ends after the overlap.

    \b
    Example:
      headworks keys rotate key_… --overlap 1h
    """
    from headworks.gateway.v1 import api_key_service_pb2 as pb

    request = pb.RotateApiKeyRequest(tenant=tenant, id=key_id)
    request.overlap.FromTimedelta(overlap)
    with on.calling() as client:
        made = client.keys.RotateApiKey(request, **on.options(client))
    _show_secret(on, made)


@keys.command()
@click.argument("key_id")
@tenant_option
@yes_option
@on_mesh(30)
def revoke(key_id: str, tenant: str, yes: bool, on: Target) -> None:
    """End the key KEY_ID, within a second.

    \b
    Example:
      headworks keys revoke key_… --yes
    """
    from headworks.gateway.v1 import api_key_service_pb2 as pb

    confirm(on, f"Revoke {key_id}? Whoever uses it is refused.", yes)
    with on.calling() as client:
        request = pb.RevokeApiKeyRequest(tenant=tenant, id=key_id)
        show_one(on, _key(client.keys.RevokeApiKey(request, **on.options(client)).key))


def _key(one: Any) -> dict[str, Any]:
    told = facts(one)
    revoked, replaced, live = STATES
    return told | {"state": revoked if told["revoke_time"] else replaced if told["replaced_by"] else live}


def _show_secret(on: Target, made: Any) -> None:
    show_one(on, _key(made.key) | {"secret": made.secret})
    if not on.as_json:
        click.echo("\nThe secret is shown this once. Present it as `authorization: Bearer hw_…`.", err=True)
