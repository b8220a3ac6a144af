"""Agents as people write them: specs, their checks and their versions."""
