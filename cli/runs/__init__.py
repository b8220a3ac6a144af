"""Verbs that ask: runs, and the agents, models and sessions that they use."""
