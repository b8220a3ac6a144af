"""Verbs about collections: ingest into them, list them, search in them."""
