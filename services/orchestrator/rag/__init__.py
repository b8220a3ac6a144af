"""What agents need of retrieval."""
