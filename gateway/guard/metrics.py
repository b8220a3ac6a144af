"""Metrics of the guards."""

from prometheus_client import Counter

from gateway.guard.finding import Finding

FINDINGS = Counter(
    "headworks_gateway_guard_findings_total",
    "What guards found, by what is done about it.",
    ["guard", "action", "mode"],
)


def count(finding: Finding) -> None:
    FINDINGS.labels(finding.guard, finding.action.value, finding.mode.value).inc()
