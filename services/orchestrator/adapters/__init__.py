"""What stands behind the orchestrator, as its rooms want it: retrieval, guards, the embedder, other replicas."""
