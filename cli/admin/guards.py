"""`headworks guards`."""

from pathlib import Path

import click
from headworks.gateway.v1 import guard_policy_service_pb2 as pb

from cli.admin.policies import print_policy
from cli.files import read_text
from cli.messages import as_dict, list_all
from cli.options import MeshOptions, confirm, on_mesh, tenant_option, yes_option
from cli.output import print_done, print_list

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
def put(file: Path, agent: str, dry_run: bool, tenant: str, on: MeshOptions) -> None:
    """Set the policy that is in FILE, as YAML.

    \b
    Example:
      headworks guards put policy.yaml --agent analyst
    """
    with on.client() as client:
        request = pb.PutGuardPolicyRequest(tenant=tenant, agent=agent, spec=read_text(file), dry_run=dry_run)
        policy = client.guards.PutGuardPolicy(request).policy
    agents = agent or "all agents without one of their own"
    print_done(on, f"The policy is {'valid' if dry_run else 'set'} for {agents}.", **as_dict(policy))


@guards.command("list")
@tenant_option
@on_mesh(30)
def list_(tenant: str, on: MeshOptions) -> None:
    """List the tenant's policies.

    \b
    Example:
      headworks guards list
    """
    with on.client() as client:
        request = pb.ListGuardPoliciesRequest(tenant=tenant)
        rows = [as_dict(row) for row in list_all(client.guards.ListGuardPolicies, request, "policies")]
    print_list(on, "policies", rows, COLUMNS, "No policies: the gateway's own one is in force.")


@guards.command()
@click.option("--agent", default="", help="The agent's; by default the tenant's.")
@tenant_option
@on_mesh(30)
def get(agent: str, tenant: str, on: MeshOptions) -> None:
    """Print a policy.

    \b
    Example:
      headworks guards get --agent analyst > policy.yaml
    """
    with on.client() as client:
        request = pb.ListGuardPoliciesRequest(tenant=tenant)
        print_policy(on, client.guards.ListGuardPolicies, request, agent, "headworks guards list")


@guards.command()
@click.option("--agent", default="", help="The agent's; by default the tenant's.")
@tenant_option
@yes_option
@on_mesh(30)
def delete(agent: str, tenant: str, yes: bool, on: MeshOptions) -> None:
    """Delete a policy: what it decided is decided by the tenant's, or by the gateway's.

    \b
    Example:
      headworks guards delete --agent analyst --yes
    """
    confirm(on, f"Delete the policy of {agent or 'the tenant'}?", yes)
    with on.client() as client:
        client.guards.DeleteGuardPolicy(pb.DeleteGuardPolicyRequest(tenant=tenant, agent=agent))
    print_done(on, "Deleted.", deleted=agent)
