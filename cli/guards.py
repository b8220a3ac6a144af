"""`headworks guards`."""

from pathlib import Path

import click

from cli.admin import confirm, done, every, facts, show_all, show_one, tenant_option, yes_option
from cli.errors import CliError
from cli.target import Target, on_mesh

COLUMNS = ("tenant", "agent", "update_time")


@click.group()
def guards() -> None:
    """What may be said: a policy of guards for a tenant, or for one of its agents.

    \b
    Examples:
      headworks guards put policy.yaml --dry-run
      headworks guards put policy.yaml --agent analyst
      headworks guards list
      headworks guards get --agent analyst > policy.yaml
    """


@guards.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--agent", default="", help="For this agent; by default for all that have none of their own.")
@click.option("--dry-run", is_flag=True, help="Check only.")
@tenant_option
@on_mesh(30)
def put(file: Path, agent: str, dry_run: bool, tenant: str, on: Target) -> None:
    """Set the policy that is in FILE, as YAML.

    \b
    Example:
      headworks guards put policy.yaml --agent analyst
    """
    from headworks.gateway.v1 import guard_policy_service_pb2 as pb

    try:
        spec = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{file} cannot be read: {error}") from None
    with on.calling() as client:
        request = pb.PutGuardPolicyRequest(tenant=tenant, agent=agent, spec=spec, dry_run=dry_run)
        policy = client.guards.PutGuardPolicy(request, **on.options(client)).policy
    whose = agent or "all agents without one of their own"
    said = f"The policy is valid for {whose}." if dry_run else f"The policy is set for {whose}."
    done(on, said, **facts(policy))


@guards.command("list")
@tenant_option
@on_mesh(30)
def list_(tenant: str, on: Target) -> None:
    """List the tenant's policies.

    \b
    Example:
      headworks guards list
    """
    from headworks.gateway.v1 import guard_policy_service_pb2 as pb

    with on.calling() as client:
        request = pb.ListGuardPoliciesRequest(tenant=tenant)
        found = [facts(one) for one in every(client.guards.ListGuardPolicies, request, "policies", on.options(client))]
    show_all(on, "policies", found, COLUMNS, "No policies: the gateway's own one is in force.")


@guards.command()
@click.option("--agent", default="", help="The agent's; by default the tenant's.")
@tenant_option
@on_mesh(30)
def get(agent: str, tenant: str, on: Target) -> None:
    """Print a policy.

    \b
    Example:
      headworks guards get --agent analyst > policy.yaml
    """
    from headworks.gateway.v1 import guard_policy_service_pb2 as pb

    with on.calling() as client:
        request = pb.ListGuardPoliciesRequest(tenant=tenant)
        found = every(client.guards.ListGuardPolicies, request, "policies", on.options(client))
        policy = next((one for one in found if one.agent == agent), None)
    if policy is None:
        raise CliError("there is no such policy; see `headworks guards list`")
    if on.as_json:
        show_one(on, facts(policy))
    else:
        click.echo(policy.spec, nl=not policy.spec.endswith("\n"))


@guards.command()
@click.option("--agent", default="", help="The agent's; by default the tenant's.")
@tenant_option
@yes_option
@on_mesh(30)
def delete(agent: str, tenant: str, yes: bool, on: Target) -> None:
    """Delete a policy: what it decided is decided by the tenant's, or by the gateway's.

    \b
    Example:
      headworks guards delete --agent analyst --yes
    """
    from headworks.gateway.v1 import guard_policy_service_pb2 as pb

    confirm(on, f"Delete the policy of {agent or 'the tenant'}?", yes)
    with on.calling() as client:
        client.guards.DeleteGuardPolicy(pb.DeleteGuardPolicyRequest(tenant=tenant, agent=agent), **on.options(client))
    done(on, "Deleted.", deleted=agent)
