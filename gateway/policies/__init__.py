"""Policies of a tenant, or of one of its agents, that are given as YAML: how they are kept, whatever they say."""
