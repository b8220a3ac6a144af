"""Identity, wired: from the settings and the records to the one question of who calls."""

from contextlib import AsyncExitStack

from gateway.identity import change_log
from gateway.identity.addresses import FailedAuthenticationLimiter
from gateway.identity.credentials import Credentials
from gateway.identity.directory import KeyDirectory, Users
from gateway.identity.keys import KeyRing
from gateway.identity.last_used import LastUsed
from gateway.identity.oidc.keys import Issuer, KeySet
from gateway.identity.oidc.tokens import OidcTokens
from gateway.identity.store import TenantStore
from gateway.settings import GatewaySettings
from services.runtime.records.changes import Changes
from services.runtime.records.database import Database


async def open_credentials(
    settings: GatewaySettings, database: Database, changes: Changes, resources: AsyncExitStack
) -> Credentials:
    """What knows callers; closed with `resources`. The database is open, and `changes` is opened after this: keys are
    read then. Raises OSError or ValueError where the operator's keys cannot be read."""
    ring = KeyRing(settings.api_keys_file)
    for tenant in sorted(ring.tenants):
        await TenantStore(database).ensure(tenant)
    used = LastUsed(database)
    directory = KeyDirectory(
        database,
        lambda: changes.stale_seconds,
        settings.identity_stale_seconds,
        settings.identity_keys_in_memory,
        used,
    )
    changes.follow(change_log.KIND, directory.reload)
    await used.open()
    resources.push_async_callback(used.aclose)
    limiter = FailedAuthenticationLimiter(settings.stranger_attempts_per_second, settings.stranger_burst)
    issuer = issuer_of(settings)
    if issuer is None:
        return Credentials(ring, directory, limiter=limiter)
    keys = KeySet(issuer)
    resources.push_async_callback(keys.aclose)
    await keys.open()
    return Credentials(ring, directory, OidcTokens(issuer, keys), Users(database, directory), limiter)


def issuer_of(settings: GatewaySettings) -> Issuer | None:
    """The issuer that the settings name, if they do. Raises ValueError."""
    if not settings.oidc_issuer:
        return None
    return Issuer(
        settings.oidc_issuer,
        settings.oidc_audience,
        jwks_url=settings.oidc_jwks_url,
        tenant=settings.oidc_tenant,
        tenant_claim=settings.oidc_tenant_claim,
        roles_claim=settings.oidc_roles_claim,
        subject_claim=settings.oidc_subject_claim,
        passed_claims=settings.oidc_passed_claims,
        algorithms=frozenset(settings.oidc_algorithms),
        leeway=settings.oidc_leeway_seconds,
        refresh=settings.oidc_refresh_seconds,
        stale=settings.oidc_stale_seconds,
        timeout=settings.oidc_timeout_seconds,
    )
