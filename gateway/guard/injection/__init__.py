"""Prompt injection: what rules know of it, and what the model on Triton says."""
