"""Retrieval-augmented generation: retrieve, build the context, generate, cite."""
