"""What stands behind the orchestrator, as its rooms want it: retrieval, guards, identities, the embedder, replicas."""
