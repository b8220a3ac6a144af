"""Verbs of administrators: tenants, keys, budgets, policies, accounting and audit."""
