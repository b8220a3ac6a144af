"""Measurements, each one command, each against a peer in the same run."""
