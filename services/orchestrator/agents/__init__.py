"""Agents: declarative specs, the loop that runs them, and where they are kept."""
