"""What each tenant wants kept, and for how long."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
from sqlalchemy import select

from gateway.privacy.tables import POLICIES
from services.runtime.errors import InvalidArgument
from services.runtime.records.changes import Changes, bump
from services.runtime.records.database import Database
from services.runtime.records.upsert import upsert

KIND = "privacy"
KINDS = ("runs", "sessions", "usage", "audit_content")
MOST_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """`content`: what is asked and answered goes into the audit. `days`: how long a kind of KINDS is kept, 0 for ever;
    what is missing is as the settings say."""

    content: bool = False
    days: Mapping[str, int] = field(default_factory=dict)


class RetentionPolicies:
    """All tenants' policies, in memory. `content` names tenants that the operator has chosen, "*" for all of them;
    `days` is what counts for those who have said nothing."""

    def __init__(
        self, database: Database, changes: Changes, *, content: frozenset[str] = frozenset(), days: Mapping[str, int]
    ) -> None:
        self._database = database
        self._content = content
        self._days = days
        self._policies: dict[str, RetentionPolicy] = {}
        changes.follow(KIND, self._load)

    def keeps_content(self, tenant: str) -> bool:
        policy = self._policies.get(tenant)
        return policy.content if policy is not None else bool(self._content & {tenant, "*"})

    def days(self, tenant: str, kind: str) -> int:
        """For how many days a kind is kept; 0 for ever."""
        policy = self._policies.get(tenant)
        own = policy.days.get(kind) if policy is not None else None
        return self._days.get(kind, 0) if own is None else own

    def of(self, tenant: str) -> RetentionPolicy:
        return self._policies.get(tenant, RetentionPolicy(self.keeps_content(tenant)))

    async def set(self, tenant: str, policy: RetentionPolicy) -> None:
        """Raises InvalidArgument for a kind or a number of days that cannot be."""
        for kind, days in policy.days.items():
            if kind not in KINDS or not 0 <= days <= MOST_DAYS:
                raise InvalidArgument(f"days are 0 to {MOST_DAYS}, of {', '.join(KINDS)}", field="days")
        values = {"content": int(policy.content), "days": orjson.dumps(dict(policy.days)).decode()}
        async with self._database.write() as connection:
            made = upsert(POLICIES).values(tenant=tenant, **values)
            await connection.execute(made.on_conflict_do_update(index_elements=["tenant"], set_=values))
            await bump(connection, KIND)

    async def _load(self) -> None:
        async with self._database.read() as connection:
            rows = await connection.execute(select(POLICIES))
            self._policies = {row.tenant: RetentionPolicy(bool(row.content), orjson.loads(row.days)) for row in rows}
