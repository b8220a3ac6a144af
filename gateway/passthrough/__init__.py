"""Models of OpenAI-compatible upstreams that the gateway answers itself, without a run."""
