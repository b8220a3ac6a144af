"""Runs agents, each run one stream of events."""
