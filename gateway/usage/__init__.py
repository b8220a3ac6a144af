"""Usage: what each call used and what it cost."""
