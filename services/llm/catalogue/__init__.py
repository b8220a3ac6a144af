"""The catalogue: every model once, by name."""
