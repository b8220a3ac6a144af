"""Ingestion, beside one process."""
