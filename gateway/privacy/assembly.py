"""Audit and data rights, wired from the settings."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import grpc

from gateway.audit.checkpoints import Checkpoints
from gateway.audit.log import AuditLog
from gateway.audit.pruning import AuditPruner
from gateway.audit.seal import Seal
from gateway.audit.store import AuditStore
from gateway.cache.service import AnswerCache
from gateway.identity.store import TenantStore
from gateway.metadata import new_id
from gateway.privacy.cached_answers import CachedAnswers
from gateway.privacy.own_records import AuditData, IdentityData, UsageData
from gateway.privacy.policies import RetentionPolicies
from gateway.privacy.retention import RetentionWorker
from gateway.privacy.service import ErasureStore, Privacy
from gateway.privacy.service_records import DocumentData, FileData, OwnCalls, RunData
from gateway.settings import GatewaySettings
from services.runtime.identity import TokenSigner
from services.runtime.records.assembly import Records
from services.runtime.records.lease import Lease

TENANTS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Trail:
    """The audit, and what signs its ends."""

    log: AuditLog
    checkpoints: Checkpoints


async def open_audit(settings: GatewaySettings, records: Records, resources: AsyncExitStack) -> Trail:
    """Closed with `resources`; before `records.changes` is opened."""
    former = [path.read_bytes() for path in settings.audit_former_keys]
    seal = Seal(settings.identity_private_key.read_bytes(), former)
    checkpoints = Checkpoints(records.database, seal)
    log = AuditLog(
        records.database,
        records.writer,
        records.changes,
        checkpoints,
        settings.replica_name,
        checkpoint_seconds=settings.audit_checkpoint_seconds,
    )
    await log.open()
    resources.push_async_callback(log.aclose)
    return Trail(log, checkpoints)


def keeping(settings: GatewaySettings, records: Records) -> RetentionPolicies:
    """What tenants want kept; before `records.changes` is opened."""
    content = frozenset(filter(None, (name.strip() for name in settings.audit_content_tenants.split(","))))
    days = {
        "runs": settings.retention_runs_days,
        "sessions": settings.retention_sessions_days,
        "usage": settings.retention_usage_days,
        "audit_content": settings.retention_audit_content_days,
    }
    return RetentionPolicies(records.database, records.changes, content=content, days=days)


async def open_privacy(
    settings: GatewaySettings,
    records: Records,
    trail: Trail,
    policies: RetentionPolicies,
    signer: TokenSigner,
    orchestrator: grpc.aio.Channel,
    retrieval: grpc.aio.Channel,
    cache: AnswerCache,
    resources: AsyncExitStack,
) -> Privacy:
    """Data rights, and the one among the replicas that forgets what is old. Closed with `resources`."""
    database, calls = records.database, OwnCalls(signer)
    runs, usage = RunData(orchestrator, calls), UsageData(database)
    audited = AuditData(database, AuditStore(database))
    documents, files = DocumentData(retrieval, calls), FileData(retrieval, calls)
    sources = (runs, documents, files, CachedAnswers(cache), usage, audited, IdentityData(database))
    privacy = Privacy(ErasureStore(database), sources, trail.log)
    look = settings.retention_look_seconds
    lease = Lease(database, "retention", new_id(settings.replica_name), 3 * look)
    worker = RetentionWorker(
        lease, privacy, policies, (runs, usage, audited), AuditPruner(database, trail.checkpoints), trail.log,
        lambda: _tenants(TenantStore(database)), audit_days=settings.retention_audit_days, look_seconds=look,
    )  # fmt: skip
    await worker.open()
    resources.push_async_callback(worker.aclose)
    return privacy


async def _tenants(store: TenantStore) -> Sequence[str]:
    """All that there are."""
    names: list[str] = []
    while page := await store.list(names[-1] if names else "", TENANTS_AT_ONCE):
        names += [tenant.id for tenant in page]
    return names
