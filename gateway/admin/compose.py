"""AdminService, put together."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.admin.audit_servicer import Audits
from gateway.admin.budgets_servicer import Budgets
from gateway.admin.data_servicer import Data
from gateway.admin.granting import Granting
from gateway.admin.guards_servicer import Guards
from gateway.admin.keys_servicer import Keys
from gateway.admin.limits_servicer import Limits
from gateway.admin.principals_servicer import Principals, Roles
from gateway.admin.recording import Recorder
from gateway.admin.servicer import AdminServicer
from gateway.admin.tenants_servicer import Projects, Tenants
from gateway.admin.usage_servicer import Usages
from gateway.audit.export import Export
from gateway.audit.log import AuditLog
from gateway.audit.seal import Seal
from gateway.audit.store import AuditStore
from gateway.audit.verify import Verifier
from gateway.budgets.store import BudgetStore
from gateway.guard.policies import Policies
from gateway.guard.store import GuardStore
from gateway.identity.store import IdentityStore
from gateway.limits.store import LimitStore
from gateway.privacy.policies import KeepingPolicies
from gateway.privacy.privacy import Privacy
from gateway.usage.store import UsageStore
from services.runtime.call import Call
from services.runtime.records.changes import Changes
from services.runtime.records.database import Database


@dataclass(frozen=True, slots=True)
class Parts:
    """What administrators look at beside the stores. `address` tells where a call came from."""

    database: Database
    changes: Changes
    audit: AuditLog
    seal: Seal
    guards: Policies
    privacy: Privacy
    retention: KeepingPolicies
    address: Callable[[Call], str]


def admin_servicer(parts: Parts) -> AdminServicer:
    """The service on stores of its own, whose every change is recorded with who made it."""
    recorder = Recorder(parts.audit, parts.address)
    database = parts.database.observed(recorder.before_commit)
    identity = IdentityStore(database)
    granting = Granting(identity)
    trail = AuditStore(database)
    nouns = (
        Tenants(identity.tenants),
        Projects(identity.projects),
        Principals(identity.principals),
        Roles(identity, granting),
        Keys(identity.keys, granting),
        Budgets(BudgetStore(database)),
        Limits(LimitStore(database)),
        Guards(GuardStore(database), parts.guards),
        Usages(UsageStore(database)),
        Audits(trail, Verifier(database, parts.seal.check), Export(trail, parts.seal)),
        Data(parts.privacy, parts.retention, recorder),
    )
    return AdminServicer(nouns, recorder, parts.changes.look)
