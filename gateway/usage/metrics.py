"""Metrics of what is used. A few tenants have a label of their own; all others share one."""

from prometheus_client import Counter

from gateway.usage.record import Usage

TOKENS = Counter("headworks_gateway_tokens_total", "Tokens of settled calls, read or written.", ["tenant", "direction"])
COST = Counter("headworks_gateway_cost_nanos_total", "Price of settled calls, in nanos.", ["tenant"])
OTHER = "other"


class TenantMetrics:
    """The first `most` tenants that are seen have their own label."""

    def __init__(self, most: int = 50) -> None:
        self._most = most
        self._seen: set[str] = set()

    def label(self, tenant: str) -> str:
        if tenant in self._seen:
            return tenant
        if len(self._seen) >= self._most:
            return OTHER
        self._seen.add(tenant)
        return tenant

    def count(self, usage: Usage) -> None:
        label = self.label(usage.tenant)
        TOKENS.labels(label, "read").inc(usage.prompt_tokens)
        TOKENS.labels(label, "written").inc(usage.completion_tokens)
        COST.labels(label).inc(usage.cost_nanos)
