"""How good search and quotes are."""
