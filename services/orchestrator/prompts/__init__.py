"""Prompts: kept by name and version, apart from the agents that use them."""
