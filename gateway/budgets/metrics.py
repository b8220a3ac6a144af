"""Metrics of budgets."""

from prometheus_client import Counter, Gauge

EXCEEDED = Counter(
    "headworks_gateway_budget_exceeded_total", "Calls that a budget had too little left for.", ["scope", "unit"]
)
LEASES = Counter("headworks_gateway_budget_leases_total", "Requests for more of a budget.", ["answer"])
GRANTS = Gauge("headworks_gateway_budget_grants", "Budgets of which this process holds a part.")
ALERTS = Counter("headworks_gateway_budget_alerts_total", "Budgets that reached a share, in per cent.", ["percent"])
UNSETTLED = Gauge("headworks_gateway_unsettled_calls", "Calls whose usage could not be written yet and is tried again.")
