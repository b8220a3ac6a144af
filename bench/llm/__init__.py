"""Streamed answers of a language model, beside vLLM's own server."""
