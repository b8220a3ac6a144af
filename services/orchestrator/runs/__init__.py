"""A run: its state, its events, its execution and its record."""
