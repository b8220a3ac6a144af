"""The services behind the gateway, and what all processes of the mesh share."""

import os

# Before gRPC is loaded: by default it starts threads of its own in a forked child, where they crash, and uvloop starts
# every child by a fork. Each process of the mesh imports this package first; nothing here forks without an exec.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
