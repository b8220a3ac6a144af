"""The gateway's own metrics."""

from prometheus_client import Counter

REFUSED = Counter("headworks_gateway_unauthenticated_total", "Calls without a valid API key.")
COMPLETIONS = Counter("headworks_gateway_completions_total", "Chat completions answered.", ["model", "stream"])
