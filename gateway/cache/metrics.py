"""Metrics of the cache. The agents and models are those that policies let be cached."""

from prometheus_client import Counter, Gauge

LOOKUPS = Counter(
    "headworks_gateway_cache_lookups_total",
    "Calls for which a policy of the cache is on: hit, alike (by meaning), shared (with an equal call under way), "
    "miss, stale (an answer whose documents have changed), bypass (by the caller or by what is asked), gone (the "
    "answers cannot be reached).",
    ["outcome"],
)
SEMANTIC = Counter(
    "headworks_gateway_cache_semantic_total",
    "Searches by meaning that came to nothing by themselves: no_embedder, budget_spent (too many were wrong); and "
    "answers that were compared with the model's and were wrong.",
    ["outcome"],
)
GATES = Counter(
    "headworks_gateway_cache_gates_total",
    "Candidates of the search by meaning that a gate has kept out, such as number, name or polarity.",
    ["gate"],
)
STORED = Counter(
    "headworks_gateway_cache_answers_total", "Answers to calls that missed, by whether they were kept.", ["outcome"]
)
SAVED_TOKENS = Counter("headworks_gateway_cache_saved_tokens_total", "Tokens that hits have not used.")
SAVED_NANOS = Counter(
    "headworks_gateway_cache_saved_nanos_total", "Cost that hits have saved, in billionths of the catalogue's currency."
)
GONE = Gauge("headworks_gateway_cache_redis_gone", "1 while the answers in Redis cannot be reached.")
