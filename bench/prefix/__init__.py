"""Prefix-aware balancing over two replicas of a language model, beside round robin and balancing by load."""
