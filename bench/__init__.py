"""Measurements, each one command, each against a peer in the same run."""

import services as services  # first: it says to gRPC what to do when a process forks
