"""`headworks cache`."""

import math
from itertools import islice
from pathlib import Path
from typing import Any

import click
from headworks.gateway.v1 import cache_service_pb2 as pb

from cli.admin.policies import print_policy
from cli.files import read_text
from cli.messages import as_dict, list_all, set_fields
from cli.options import MeshOptions, confirm, on_mesh, tenant_option, yes_option
from cli.output import cost, print_done, print_list

POLICIES = ("tenant", "agent", "update_time")
STATS = {"model": "model", "hits": "hits", "hit rate": "hit_rate", "shared": "shared", "by meaning": "alike",
         "false": "false", "misses": "misses",
         "bypassed": "bypassed", "stale": "stale", "stored": "stored", "saved tokens": "saved_tokens",
         "saved": "saved"}  # fmt: skip
ANSWERS = {"key": "key", "model": "model", "kind": "kind", "created": "create_time", "expires": "expire_time",
           "bytes": "size_bytes", "tokens": "tokens", "cost": "cost", "documents": "documents"}  # fmt: skip
Z = 1.96


@click.group()
def cache() -> None:
    """Answers given again: policies, what they save, what is kept. Without a policy nothing is kept.

    \b
    Examples:
      headworks cache put policy.yaml --agent gpt-wide
      headworks cache stats
      headworks cache purge --model gpt-wide --yes
    """


@cache.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--agent", default="", help="For this agent or model; by default for all that have none of their own.")
@click.option("--dry-run", is_flag=True, help="Check only.")
@tenant_option
@on_mesh(30)
def put(file: Path, agent: str, dry_run: bool, tenant: str, on: MeshOptions) -> None:
    """Set the policy that is in FILE, as YAML.

    \b
    Example:
      headworks cache put policy.yaml --agent gpt-wide
    """
    with on.client() as client:
        request = pb.PutCachePolicyRequest(tenant=tenant, agent=agent, spec=read_text(file), dry_run=dry_run)
        policy = client.cache.PutCachePolicy(request).policy
    agents = agent or "all agents and models without one of their own"
    print_done(on, f"The policy is {'valid' if dry_run else 'set'} for {agents}.", **as_dict(policy))


@cache.command("list")
@tenant_option
@on_mesh(30)
def list_(tenant: str, on: MeshOptions) -> None:
    """List the tenant's policies.

    \b
    Example:
      headworks cache list
    """
    with on.client() as client:
        request = pb.ListCachePoliciesRequest(tenant=tenant)
        rows = [as_dict(row) for row in list_all(client.cache.ListCachePolicies, request, "policies")]
    print_list(on, "policies", rows, POLICIES, "No policies: nothing is cached.")


@cache.command()
@click.option("--agent", default="", help="The agent's or model's; by default the tenant's.")
@tenant_option
@on_mesh(30)
def get(agent: str, tenant: str, on: MeshOptions) -> None:
    """Print a policy.

    \b
    Example:
      headworks cache get --agent gpt-wide > policy.yaml
    """
    with on.client() as client:
        request = pb.ListCachePoliciesRequest(tenant=tenant)
        print_policy(on, client.cache.ListCachePolicies, request, agent, "headworks cache list")


@cache.command()
@click.option("--agent", default="", help="The agent's or model's; by default the tenant's.")
@tenant_option
@yes_option
@on_mesh(30)
def delete(agent: str, tenant: str, yes: bool, on: MeshOptions) -> None:
    """Delete a policy: the tenant's decides then, and without one nothing is cached.

    \b
    Example:
      headworks cache delete --agent gpt-wide --yes
    """
    confirm(on, f"Delete the policy of {agent or 'the tenant'}?", yes)
    with on.client() as client:
        client.cache.DeleteCachePolicy(pb.DeleteCachePolicyRequest(tenant=tenant, agent=agent))
    print_done(on, "Deleted.", deleted=agent)


@cache.command()
@tenant_option
@on_mesh(30)
def stats(tenant: str, on: MeshOptions) -> None:
    """Show what the cache has come to, by agent or model, since the gateway that answers was started.

    \b
    Example:
      headworks cache stats --json
    """
    with on.client() as client:
        found = client.cache.GetCacheStats(pb.GetCacheStatsRequest(tenant=tenant)).stats
    print_list(on, "stats", [_rated(as_dict(row)) for row in found], STATS, "No call has been looked up.")


@cache.command()
@click.option("--model", default="", help="Of this agent or model only.")
@click.option("--most", type=click.IntRange(1, 10_000), default=100, show_default=True, help="The most answers shown.")
@tenant_option
@on_mesh(30)
def inspect(model: str, most: int, tenant: str, on: MeshOptions) -> None:
    """List the answers that are kept, the newest first, without what they say.

    \b
    Example:
      headworks cache inspect --model gpt-wide
    """
    with on.client() as client:
        request = pb.ListCachedAnswersRequest(tenant=tenant, model=model)
        answers = islice(list_all(client.cache.ListCachedAnswers, request, "answers"), most)
        rows = [row | {"cost": cost(row["cost_nanos"])} for row in map(as_dict, answers)]
    print_list(on, "answers", rows, ANSWERS, "No answers are kept.")


@cache.command()
@click.option("--model", default="", help="Those of this agent or model only.")
@click.option("--answer", default="", help="The one with this key only, as `inspect` has it.")
@click.option("--document", default="", help="Those that rest on this document only, by its id.")
@tenant_option
@yes_option
@on_mesh(60)
def purge(tenant: str, yes: bool, on: MeshOptions, **options: Any) -> None:
    """Drop answers: all of the tenant's, or those that the options name.

    \b
    Example:
      headworks cache purge --document handbook.md --yes
    """
    named = ", ".join(f"{name} {value}" for name, value in options.items() if value) or "all of the tenant"
    confirm(on, f"Drop the cached answers ({named})?", yes)
    with on.client() as client:
        request = set_fields(pb.PurgeCacheRequest(tenant=tenant, key=options.pop("answer")), options)
        purged = client.cache.PurgeCache(request).purged
    print_done(on, f"Dropped {purged}.", purged=purged)


def _rated(row: dict[str, Any]) -> dict[str, Any]:
    looked = row["hits"] + row["misses"] + row["bypassed"]
    rate = round(row["hits"] / looked, 4) if looked else 0.0
    low, high = _interval(row["wrong"], row["compared"])
    share = row["wrong"] / row["compared"] if row["compared"] else None
    said = "" if share is None else f"{share:.3f} ({low:.3f} to {high:.3f})"
    return row | {
        "hit_rate": rate, "false_rate": share, "false_rate_low": low, "false_rate_high": high, "false": said,
        "saved": cost(row["saved_nanos"]),
    }  # fmt: skip


def _interval(wrong: int, seen: int) -> tuple[float, float]:
    """Wilson's interval, 95 %, of the share that is wrong; all of it where nothing was seen."""
    if not seen:
        return 0.0, 1.0
    share, square = wrong / seen, Z * Z / seen
    middle = (share + square / 2) / (1 + square)
    half = Z * math.sqrt(share * (1 - share) / seen + square / (4 * seen)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)
