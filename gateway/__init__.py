"""The policy point: the only way into the mesh."""

import services as services  # first: it says to gRPC what to do when a process forks
