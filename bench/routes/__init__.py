"""A route over two upstreams of which one fails, beside LiteLLM's router."""
